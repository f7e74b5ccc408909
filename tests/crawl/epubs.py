"""Builds small EPUBs."""

# ruff: noqa: E501 - templates are read best as they are

from __future__ import annotations

import io
import zipfile

CONTAINER = """<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0">
<rootfiles><rootfile full-path="{root}" media-type="application/oebps-package+xml"/></rootfiles></container>"""
PACKAGE = """<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0"
 xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata><dc:title>The  Sea</dc:title><dc:creator>A. Author</dc:creator>
<dc:language>en-GB</dc:language><dc:date>2013-04-17T10:00:00Z</dc:date></metadata><manifest>{items}</manifest><spine>{refs}</spine></package>"""
XHTML = """<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" xml:lang="en">
<head><title>x</title></head><body>{body}</body></html>"""


def chapter(number: int, more: str = "") -> str:
    return XHTML.format(body=f"<section><h2>Chapter {number}</h2><p>Text of {number}.</p>{more}</section>")


def package(names: list[str]) -> str:
    kind = 'media-type="application/xhtml+xml"'
    items = "".join(f'<item id="i{n}" href="{name}" {kind}/>' for n, name in enumerate(names))
    return PACKAGE.format(items=items, refs="".join(f'<itemref idref="i{n}"/>' for n in range(len(names))))


def epub(
    documents: dict[str, str], more: dict[str, str | bytes] | None = None, spine: list[str] | None = None
) -> bytes:
    files: dict[str, str | bytes] = {"mimetype": "application/epub+zip"}
    files["META-INF/container.xml"] = CONTAINER.format(root="OEBPS/content.opf")
    files["OEBPS/content.opf"] = package(list(documents) if spine is None else spine)
    files |= {f"OEBPS/{name}": text for name, text in documents.items()}
    return zipped(files | (more or {}))


def zipped(files: dict[str, str | bytes]) -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return found.getvalue()
