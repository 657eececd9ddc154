"""The parser's C functions as the extension exports them to other compiled modules, called by ctypes.

Their names and signatures stand in `_parser.pxd`; here are the structures that they are given.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import POINTER, Structure, c_char, c_int, c_int64, c_size_t, c_uint8, c_uint32, c_uint64
from typing import Any

from fastwsgi import _parser


class Span(Structure):
    _fields_ = [("start", c_uint32), ("length", c_uint32)]


class Field(Structure):
    _fields_ = [("name", Span), ("value", Span), ("hash", c_uint32), ("kind", c_uint32)]


class Limits(Structure):
    _fields_ = [
        (name, c_uint32) for name in ("request_line", "field", "fields", "head", "leniency")
    ]


class RequestHead(Structure):
    _fields_ = [
        *((name, c_uint32) for name in ("position", "length")),
        *((name, Span) for name in ("method", "target", "authority", "path", "query", "host")),
        *((name, c_uint32) for name in ("field_count", "flags", "verb", "version")),
        ("minor_version", c_uint32),
        ("content_length", c_int64),
        ("chunked", c_int),
        ("fields", POINTER(Field)),
        ("before", ctypes.c_void_p),
        *((name, c_uint32) for name in ("before_length", "before_count")),
        ("alike", c_uint64),
    ]


class ChunkDecoder(Structure):
    _fields_ = [
        *((name, c_uint64) for name in ("left", "total")),
        *((name, c_uint32) for name in ("digits", "line", "extensions", "trailer_lines")),
        *((name, c_uint32) for name in ("trailer_bytes", "name_length")),
        ("state", c_uint8),
        ("name", c_char * 24),
    ]


def exported(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """One function of `_parser.pxd`."""
    capsule = _parser.__pyx_capi__[name]
    name_of = ctypes.pythonapi.PyCapsule_GetName
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    made: Callable[..., Any] = ctypes.CFUNCTYPE(result, *arguments)(
        pointer_of(capsule, name_of(capsule))
    )
    return made


reset_head = exported("reset_head", None, POINTER(RequestHead))
follow_head = exported("follow_head", None, POINTER(RequestHead), ctypes.c_void_p)
parse_head = exported(
    "parse_head", c_int, ctypes.c_void_p, c_size_t, POINTER(Limits), POINTER(RequestHead)
)
reset_chunks = exported("reset_chunks", None, POINTER(ChunkDecoder))
decode_chunks = exported(
    "decode_chunks", c_int, POINTER(ChunkDecoder), ctypes.c_void_p, c_size_t, POINTER(Limits),
    POINTER(c_size_t), POINTER(ctypes.c_void_p), POINTER(c_size_t),
)  # fmt: skip
