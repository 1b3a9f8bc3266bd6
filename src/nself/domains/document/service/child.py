"""Renders documents in a process of its own, whose memory is limited: `child.py LIMIT FOLDER FONTS...`.

Each order is a length of eight digits (hexadecimal) and JSON; each answer the same, then the PDF where there is one. FOLDER is all
of the disk that a template may read. A document that needs more than LIMIT bytes ends the process, which its parent understands.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
from importlib import import_module
from io import BytesIO
from typing import Any, cast

NOT_SHOWN = re.compile(r'the text `"(.+?)"` could not be displayed')
PAGES = re.compile(rb"<xmpTPg:NPages>(\d+)<")
XML_FILE, LEVEL = "factur-x.xml", "en16931"
ATTACHED = """
#if "xml" in sys.inputs {
  pdf.attach("factur-x.xml", bytes(sys.inputs.xml), relationship: "alternative", mime-type: "text/xml", description: "Factur-X invoice")
}
"""
"""Comes behind the template: the e-invoice lies beside its picture."""
URN = b"urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
PROPERTIES = (
    (b"DocumentFileName", b"The name of the embedded XML document", b"factur-x.xml"),
    (b"DocumentType", b"The type of the hybrid document in capital letters", b"INVOICE"),
    (b"Version", b"The version of the standard of the embedded XML document", b"1.0"),
    (b"ConformanceLevel", b"The conformance level of the embedded XML document", b"EN 16931"),
)
FACTURX = (
    b'<rdf:Description rdf:about="" xmlns:fx="%s">' % URN
    + b"".join(b"<fx:%s>%s</fx:%s>" % (name, value, name) for name, _, value in PROPERTIES)
    + b"</rdf:Description>"
)
SCHEMA = (
    b'<rdf:li rdf:parseType="Resource"><pdfaSchema:schema>Factur-X PDFA Extension Schema</pdfaSchema:schema>'
    b"<pdfaSchema:namespaceURI>%s</pdfaSchema:namespaceURI><pdfaSchema:prefix>fx</pdfaSchema:prefix>"
    b"<pdfaSchema:property><rdf:Seq>"
    % URN
    + b"".join(
        b'<rdf:li rdf:parseType="Resource"><pdfaProperty:name>%s</pdfaProperty:name><pdfaProperty:valueType>Text'
        b"</pdfaProperty:valueType><pdfaProperty:category>external</pdfaProperty:category>"
        b"<pdfaProperty:description>%s</pdfaProperty:description></rdf:li>" % (name, what)
        for name, what, _ in PROPERTIES
    )
    + b"</rdf:Seq></pdfaSchema:property></rdf:li>"
)
BAG, END = b"<pdfaExtension:schemas><rdf:Bag>", b"</rdf:RDF>"
NOWHERE = "http://127.0.0.1:9"
"""A template fetches nothing: typst's packages come through a proxy, and there is none."""


NO_ROOM = "failed to map segment"
"""How the loader says that a library finds no memory."""


def limit_memory(size: int) -> None:
    """Of what is written to, not of the files that are mapped."""
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))


class Renderer:
    """A compiler that is kept: fonts are read once."""

    def __init__(self, folder: str, fonts: list[str]) -> None:
        import typst

        self.typst = typst
        self.fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=fonts)
        self.families = set(self.fonts.families())
        self.compiler = typst.Compiler(root=folder, font_paths=self.fonts, ignore_system_fonts=True)

    def render(self, order: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Header and PDF. Raises TypstError."""
        self.main = (order["template"] + ATTACHED).encode()
        data = order["data"]
        data["fonts"] = [one for one in data["fonts"] if one in self.families]
        inputs = {"data": json.dumps(data, ensure_ascii=False, sort_keys=True)}
        xml = _xml(order["invoice_xml"]) if order["invoice_xml"] else None
        try:
            content, warnings = self._compile({**inputs, "xml": xml} if xml else inputs, "a-3b", order["issued_at"])
        except self.typst.TypstError as error:
            missing = sorted(set(NOT_SHOWN.findall(error.diagnostic)))
            if not missing:
                raise
            content, warnings = self._compile(inputs, "1.7", order["issued_at"])
            warnings = [f"no font has {' '.join(missing)}: it is not PDF/A", *warnings]
            return _header(content, "PDF 1.7", xml=False, warnings=warnings), content
        return _header(content, "PDF/A-3b", xml=bool(xml), warnings=warnings), _named(content) if xml else content

    def _compile(self, inputs: dict[str, str], standard: Any, issued_at: int) -> tuple[bytes, list[str]]:
        content, warnings = self.compiler.compile_with_warnings(
            input=self.main, format="pdf", sys_inputs=inputs, pdf_standards=[standard], timestamp=issued_at
        )
        assert isinstance(content, bytes)
        return content, [one.message for one in warnings]


def _xml(terms: dict[str, Any]) -> str:
    seller = terms["BG-4"]
    if number := seller.get("identifiers", {}).pop("null", None):  # JSON has no key None
        seller["identifiers"] = {None: number}
    write: Any = import_module("facturx.generate_xml").generate_cii_xml
    return cast("bytes", write(terms, level=LEVEL, check_xsd=False, check_schematron="")).decode()


def _header(content: bytes, standard: str, *, xml: bool, warnings: list[str]) -> dict[str, Any]:
    pages = PAGES.search(content)
    count = int(pages[1]) if pages else 0
    return {"ok": True, "pages": count, "standard": standard, "xml": xml, "warnings": list(dict.fromkeys(warnings))}


def _named(content: bytes) -> bytes:
    """Factur-X is also named in the metadata, which typst cannot; all else stays as typst wrote it, the date too."""
    import pikepdf

    found = BytesIO()
    with pikepdf.open(BytesIO(content)) as pdf:
        metadata = pdf.Root.Metadata.read_bytes()
        assert BAG in metadata and END in metadata, "typst writes its metadata in another way than before"
        pdf.Root.Metadata.write(metadata.replace(BAG, BAG + SCHEMA, 1).replace(END, FACTURX + END, 1))
        pdf.save(
            found,
            deterministic_id=True,
            fix_metadata_version=False,
            stream_decode_level=pikepdf.StreamDecodeLevel.none,
            compress_streams=False,
        )
    return found.getvalue()


def main() -> None:
    """Until the parent closes the pipe."""
    limit, folder, *fonts = sys.argv[1:]
    limit_memory(int(limit))
    os.environ.update(HTTP_PROXY=NOWHERE, HTTPS_PROXY=NOWHERE, http_proxy=NOWHERE, https_proxy=NOWHERE)
    orders, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    renderer: Renderer | None = None
    while head := orders.read(8):
        order = json.loads(orders.read(int(head, 16)))
        content = b""
        try:
            renderer = renderer or Renderer(folder, fonts)
            header, content = renderer.render(order)
        except MemoryError:
            header: dict[str, Any] = {"ok": False, "memory": True}
        except Exception as error:
            header = {"ok": False, "memory": NO_ROOM in str(error), "error": _told(error)}
        text = json.dumps({**header, "size": len(content)}).encode()
        answers.write(b"%08x" % len(text) + text + content)
        answers.flush()


def _told(error: Exception) -> str:
    """typst's own words with the place in the template."""
    told = str(getattr(error, "diagnostic", "") or f"{type(error).__name__}: {error}")
    return told.replace("__typst_py_bytes__.typ", "invoice.typ")


if __name__ == "__main__":
    main()
