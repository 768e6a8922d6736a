"""What may be wrong with a page as it is laid out, as scripts that list what is.

Each gives the first few elements in words. Closed details and the insides of figures are left out.
"""

_SHOWN = """
    document.styleSheets[0].insertRule('.run { content-visibility: visible !important; }');
    const shown = [];
    const walk = (each) => {
      if (!each.checkVisibility() || each.matches('script, style')) return;
      shown.push(each);
      if (each.matches('svg, select')) return;
      const closed = each.matches('details:not([open])');
      [...each.children].forEach((child) => (closed && child.tagName !== 'SUMMARY') || walk(child));
    };
    walk(document.body);
    const texts = (each) =>
      [...each.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    const written = shown.filter((each) => !each.matches('svg') && texts(each).length
      && each.getBoundingClientRect().width > 1.5);
"""
CUT_OFF = f"""{_SHOWN}
    const wide = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth > wide) return ['the page scrolls sideways'];
    return shown.filter((each) => {{
      const frame = each.closest('.wide, .fig, pre');
      const box = each.getBoundingClientRect();
      return (!frame || frame === each) && (box.right > wide + 1 || box.left < -1);
    }}).map((each) => each.outerHTML.slice(0, 80)).slice(0, 5);
"""
"""Lies beyond the edge of the screen, and not in a frame that scrolls."""
COVERED = f"""{_SHOWN}
    const range = document.createRange();
    const boxes = written.flatMap((each) => texts(each).flatMap((node) => {{
      range.selectNodeContents(node);
      return [...range.getClientRects()].map((box) => [each, box]);
    }}));
    const found = [];
    boxes.forEach(([one, a], place) => boxes.slice(place + 1).forEach(([other, b]) => {{
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (across > 2 && down > a.height / 3) {{
        found.push(`${{one.innerText}} / ${{other.innerText}}`);
      }}
    }}));
    return found.slice(0, 5);
"""
"""Text lies on other text."""
PALE = f"""{_SHOWN}
    const parts = (color) => color.match(/[\\d.]+/g).map(Number);
    const light = (color) => {{
      const [r, g, b] = parts(color).map((each) => each / 255)
        .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    }};
    const behind = (each) => {{
      for (let at = each; at; at = at.parentElement) {{
        const color = getComputedStyle(at).backgroundColor;
        if ((parts(color)[3] ?? 1) === 1) return color;
      }}
      return 'rgb(255, 255, 255)';
    }};
    return written.filter((each) => {{
      const [a, b] = [light(getComputedStyle(each).color), light(behind(each))];
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5;
    }}).map((each) => `${{each.className}} ${{each.innerText.slice(0, 40)}}`).slice(0, 5);
"""
"""Text with a contrast of less than 4.5 to 1 (WCAG 2.2, success criterion 1.4.3)."""
