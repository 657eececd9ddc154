from __future__ import annotations

from pathlib import PurePath

from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from .forms import DocumentForm
from .models import Document


@require_http_methods(["GET", "HEAD", "POST"])
def index(request: HttpRequest) -> HttpResponse:
    """Lists the documents, takes a new one, and counts the visits in the session."""
    if request.method == "POST":
        form = DocumentForm(request.POST, request.FILES)
        if form.is_valid():
            form.save()
            return redirect("index")
    else:
        form = DocumentForm()
        request.session["visits"] = request.session.get("visits", 0) + 1
    context = {
        "form": form,
        "documents": Document.objects.all()[:100],
        "visits": request.session.get("visits", 0),
    }
    return render(request, "documents/index.html", context)


@require_safe
def download(request: HttpRequest, number: int) -> FileResponse:
    """Sends a document; Django hands the open file to the server's `wsgi.file_wrapper`."""
    document = get_object_or_404(Document, pk=number)
    name = PurePath(document.file.name).name
    return FileResponse(document.file.open("rb"), as_attachment=True, filename=name)
