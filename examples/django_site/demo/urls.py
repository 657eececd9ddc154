from __future__ import annotations

from django.contrib import admin
from django.urls import path
from documents import views

urlpatterns = [
    path("", views.index, name="index"),
    path("documents/<int:number>/", views.download, name="download"),
    path("admin/", admin.site.urls),
]
