"""How figures look: colours for light and dark pages and for paper, each beside a shape of its own.

A page may set the variables anew, on `.kh-figure` or on what it stands in.
"""

from __future__ import annotations

_LIGHT = """\
--kh-paper:#fff;--kh-ink:#1b1f24;--kh-muted:#57606a;--kh-grid:#dde2e7;--kh-fault:#b3261e;\
--kh-predicted:#0b61a4;--kh-claimed:#6f42c1;--kh-good:#1a7f37;--kh-bad:#cf222e;\
--kh-doubt:#9a6700;--kh-probe:#0b61a4;--kh-answer:#1a7f37;--kh-data:#1b1f24;\
--kh-again:#a94400;--kh-other:#57606a"""
_DARK = """\
--kh-paper:#0f1419;--kh-ink:#e6edf3;--kh-muted:#9aa6b2;--kh-grid:#2d353e;--kh-fault:#ff8177;\
--kh-predicted:#6cb6ff;--kh-claimed:#c4a5ff;--kh-good:#57c96b;--kh-bad:#ff7b72;\
--kh-doubt:#e3b341;--kh-probe:#6cb6ff;--kh-answer:#57c96b;--kh-data:#e6edf3;\
--kh-again:#ffa657;--kh-other:#9aa6b2"""

FIGURE_CSS = f"""\
:root{{{_LIGHT}}}
@media (prefers-color-scheme:dark){{:root{{{_DARK}}}}}
@media print{{:root{{{_LIGHT}}}.kh-figure{{min-width:0!important}}}}
.kh-figure{{display:block;width:100%;min-width:720px;max-width:1120px;height:auto;\
font:12px system-ui,"Segoe UI","DejaVu Sans",Arial,sans-serif;background:var(--kh-paper);\
print-color-adjust:exact;-webkit-print-color-adjust:exact}}
.kh-figure text{{fill:var(--kh-ink);stroke:none}}
.kh-figure .times{{text-anchor:end}}
.kh-figure .halo,.kh-figure .halo text{{paint-order:stroke;stroke:var(--kh-paper);\
stroke-width:4px;stroke-linejoin:round}}
.kh-figure .small{{font-size:11px}}
.kh-figure .title{{font-size:16px}}
.kh-figure .strong{{font-weight:600}}
.kh-figure text.muted,.kh-figure .muted text{{fill:var(--kh-muted)}}
.kh-figure .time{{font-variant-numeric:tabular-nums}}
.kh-figure .grid{{stroke:var(--kh-grid);fill:none}}
.kh-figure .zero{{stroke:var(--kh-muted);stroke-dasharray:3 3;fill:none}}
.kh-figure .host{{stroke:var(--kh-muted);stroke-width:1.5;fill:none}}
.kh-figure .fold{{fill:var(--kh-paper);stroke:none}}
.kh-figure .zigzag{{stroke:var(--kh-muted);fill:none}}
.kh-figure .fault{{fill:var(--kh-fault);fill-opacity:.16;stroke:var(--kh-fault);\
stroke-dasharray:4 2}}
.kh-figure .predicted{{fill:var(--kh-predicted);stroke:var(--kh-predicted)}}
.kh-figure .claimed{{fill:none;stroke:var(--kh-claimed);stroke-width:2}}
.kh-figure .due{{fill:var(--kh-predicted);fill-opacity:.22;stroke:none}}
.kh-figure .mark{{fill:var(--kh-other);stroke:var(--kh-other);stroke-width:1.6}}
.kh-figure .hollow{{fill:var(--kh-paper)!important}}
.kh-figure .probe{{fill:var(--kh-probe);stroke:var(--kh-probe)}}
.kh-figure .answer{{fill:var(--kh-answer);stroke:var(--kh-answer)}}
.kh-figure .data{{fill:var(--kh-data);stroke:var(--kh-data)}}
.kh-figure .retransmit{{fill:var(--kh-again);stroke:var(--kh-again)}}
.kh-figure .rst,.kh-figure .icmp,.kh-figure .lost{{fill:none;stroke:var(--kh-bad)}}
.kh-figure .rst,.kh-figure .lost{{stroke-width:2.2}}
.kh-figure .fin{{fill:var(--kh-claimed);stroke:var(--kh-claimed)}}
.kh-figure .arrow{{fill:none;stroke-width:1.4}}
.kh-figure .across{{stroke:var(--kh-muted);stroke-dasharray:5 3;fill:none}}
.kh-figure .unsure{{stroke-dasharray:5 3}}
.kh-figure .many{{fill-opacity:.45}}
.kh-figure .pass{{fill:var(--kh-good);stroke:var(--kh-good)}}
.kh-figure .fail{{fill:var(--kh-bad);stroke:var(--kh-bad)}}
.kh-figure .inconclusive{{fill:var(--kh-doubt);stroke:var(--kh-doubt)}}
.kh-figure .of-fault{{fill:var(--kh-fault)}}
.kh-figure .of-fail,.kh-figure .of-loss{{fill:var(--kh-bad)}}
.kh-figure .of-pass{{fill:var(--kh-good)}}
.kh-figure .of-inconclusive{{fill:var(--kh-doubt)}}
.kh-figure .stem{{fill:none;stroke-width:1.4}}
"""
"""Put it once into a page that has figures. It concerns `.kh-figure` alone."""
