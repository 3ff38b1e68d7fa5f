"""What data scientists see: the pages of evaluation, monitoring and data quality, as they were written. No people."""

from pathlib import Path

from starlette.responses import HTMLResponse, Response

from pipelines.board.desk import Desk
from pipelines.board.sessions import Session
from pipelines.board.views import page, sent
from pipelines.workspace import Workspace

TYPES = {
    ".html": "text/html",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".md": "text/plain; charset=utf-8",
    ".png": "image/png",
}


def index(desk: Desk, session: Session) -> HTMLResponse:
    """Every page, the newest folder first."""
    pages = [path for path in files(Workspace(desk.config.workspace)) if path.endswith(".html")]
    links = [
        (f"/evidence/{path}", path.removesuffix(".html").replace("/", ", "), "") for path in sorted(pages, reverse=True)
    ]
    says = () if links else ("Nothing has been evaluated here yet: run `minusnine train` or `minusnine evaluate`.",)
    return page(desk, "Evaluation and monitoring", session=session, says=says, links=links)


def file(desk: Desk, path: str) -> Response | None:
    """One of `files`, and nothing else, whatever the path says."""
    found = files(Workspace(desk.config.workspace)).get(path)
    if found is None:
        return None
    if found.suffix == ".html":
        return sent(desk, found.read_text(encoding="utf-8"))
    return Response(found.read_bytes(), media_type=TYPES[found.suffix])


def files(workspace: Workspace) -> dict[str, Path]:
    """What may be served, by its path in addresses: regular files of known kinds in the folders that hold no people."""
    roots = (workspace.evaluation, workspace.root / "monitoring", workspace.quality)
    inside = ((root, path) for root in roots for path in root.rglob("*"))
    return {
        f"{root.name}/{path.relative_to(root).as_posix()}": path
        for root, path in inside
        if path.suffix in TYPES and path.is_file() and not _indirect(root, path)
    }


def _indirect(root: Path, path: Path) -> bool:
    """Whether it lies behind a link, which may lead anywhere, or is hidden."""
    parts = [path, *path.parents]
    within = parts[: parts.index(root) + 1]
    return any(part.is_symlink() for part in within) or any(part.name.startswith(".") for part in within[:-1])
