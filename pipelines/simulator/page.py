"""The page of a world's checks."""

from html import escape
from pathlib import Path

from pipelines.simulator.checking import Check, Checked
from pipelines.simulator.picture import draw_pictures
from pipelines.simulator.records import Records

STYLE = (
    "body{font:16px/1.5 Arial,sans-serif;margin:2rem auto;max-width:70rem;color:#212b32}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #d8dde0;padding:.3rem;text-align:left}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}img{max-width:100%}.look{font-weight:bold;color:#d5281b}"
)


def write_page(records: Records, checked: Checked, folder: Path) -> Path:
    """index.html with its pictures in `folder`, which is made where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = draw_pictures(records, checked, folder)
    config = records.world.config
    size = f"{config.places:,} places, {config.days:,} days, seed {config.seed}"
    figures = "".join(
        f'<p><img src="{picture.name}" alt="{picture.stem} of the simulated world"></p>' for picture in pictures
    )
    head = "<tr><th>What</th><th>Found</th><th>Expected</th><th>By what</th><th></th></tr>"
    rows = "".join(map(_row, checked.checks))
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Simulated world</title><style>{STYLE}</style>'
        f"<h1>Checks of a simulated world</h1><p>{escape(size)}. All people are simulated.</p>{figures}"
        f"<table>{head}{rows}</table></html>\n"
    )
    page = folder / "index.html"
    page.write_text(text, encoding="utf-8")
    return page


def _row(check: Check) -> str:
    cells = [escape(check.what), f"{check.found:.4g}", f"{check.least:g} to {check.most:g}", escape(check.source)]
    shown = "".join(
        f'<td class="n">{cell}</td>' if rank == 1 else f"<td>{cell}</td>" for rank, cell in enumerate(cells)
    )
    mark = "<td>as expected</td>" if check.well else '<td class="look">look</td>'
    return f"<tr>{shown}{mark}</tr>"
