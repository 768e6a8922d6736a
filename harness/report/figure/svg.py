"""SVG elements as a tree of the standard library, written without a byte too many."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from harness.system.escapes import in_a_line

NAMESPACE = "http://www.w3.org/2000/svg"
NARROW, DIGIT, CAPITAL = 6.4, 7.6, 8.8
"""The width of characters of 12 pixels' text in a wide font; small text needs less."""


def number(value: float) -> str:
    """A coordinate to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0").replace("-0", "0") if value == 0 else _short(value)


def _short(value: float) -> str:
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def root(width: float, height: float, classes: str, ident: str, title: str) -> ET.Element:
    """An inline picture that its title describes; as wide as the page allows."""
    picture = ET.Element(
        "svg",
        {
            "xmlns": NAMESPACE,
            "class": f"kh-figure {classes}",
            "viewBox": f"0 0 {number(width)} {number(height)}",
            "role": "img",
            "aria-labelledby": f"{ident}-title",
        },
    )
    ET.SubElement(picture, "title", {"id": f"{ident}-title"}).text = in_a_line(title)
    return picture


def group(parent: ET.Element, classes: str) -> ET.Element:
    """A group of elements that share a class."""
    return ET.SubElement(parent, "g", {"class": classes})


def path(parent: ET.Element, d: str, classes: str = "", title: str = "") -> ET.Element:
    """A path, with what a pointer that rests on it shows."""
    return _titled(ET.SubElement(parent, "path", _classed(classes) | {"d": d}), title)


def line(parent: ET.Element, x: float, y: float, to_x: float, to_y: float, classes: str) -> None:
    """A straight line."""
    path(parent, f"M{number(x)} {number(y)}L{number(to_x)} {number(to_y)}", classes)


def rect(
    parent: ET.Element,
    x: float,
    y: float,
    width: float,
    height: float,
    classes: str,
    title: str = "",
) -> ET.Element:
    """A rectangle."""
    attributes = {"x": number(x), "y": number(y), "width": number(width), "height": number(height)}
    return _titled(ET.SubElement(parent, "rect", _classed(classes) | attributes), title)


def text(
    parent: ET.Element, x: float, y: float, content: str, classes: str = "", anchor: str = "start"
) -> ET.Element:
    """A line of text on its base line; `anchor`: start, middle or end of it is at x."""
    attributes = {"x": number(x), "y": number(y)}
    if anchor != "start":
        attributes["text-anchor"] = anchor
    element = ET.SubElement(parent, "text", _classed(classes) | attributes)
    element.text = in_a_line(content)
    return element


def width_of(content: str) -> float:
    """How wide a text may be, at most, also if it is bold and small."""
    digits, capitals = sum(map(str.isdigit, content)), sum(map(str.isupper, content))
    rest = len(content) - digits - capitals
    return digits * DIGIT + capitals * CAPITAL + rest * NARROW


def render(picture: ET.Element) -> str:
    """The picture as text."""
    return ET.tostring(picture, encoding="unicode")


def _classed(classes: str) -> dict[str, str]:
    return {"class": classes} if classes else {}


def _titled(element: ET.Element, title: str) -> ET.Element:
    if title:
        ET.SubElement(element, "title").text = in_a_line(title)
    return element
