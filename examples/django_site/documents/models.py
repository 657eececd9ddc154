from __future__ import annotations

from django.db import models


class Document(models.Model):
    """An uploaded file and what its sender calls it."""

    title = models.CharField(max_length=120)
    file = models.FileField(upload_to="documents/")
    uploaded = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-uploaded", "-pk")

    def __str__(self) -> str:
        return self.title
