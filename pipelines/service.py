"""A configured service: its workspace, history, catalogue and sources, opened from one configuration."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from features.catalogue import Catalogue, load_catalogue
from features.errors import SourceError
from features.sources.mapping import Mapping, load_mapping
from features.states import learned_in, with_learned
from pipelines.config import ServiceConfig, SourceConfig
from pipelines.identities import Identities
from pipelines.mapping import Mapper, Opened, opened
from pipelines.staging import complete
from pipelines.store import History
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from models.bundle import Bundle
    from pipelines.exposure import Exposures
    from pipelines.listing_table import ListingTable


@dataclass(frozen=True)
class Service:
    """What the steps work with. Opening one reads nothing but what it is asked for.

    opened: how those who work on the buckets are called together. own_catalogue: the text of a catalogue to use in
    place of the configuration's, as a model's own. batches: use the history as it was after so many.
    """

    config: ServiceConfig
    opened: Opened = opened
    own_catalogue: str = ""
    batches: int | None = None

    def workers(self) -> AbstractContextManager[Mapper]:
        """Those whom the configuration names, for as long as the work on the buckets lasts."""
        return self.opened(self.config.run)

    @cached_property
    def workspace(self) -> Workspace:
        complete(self.config.workspace)
        return Workspace(self.config.workspace, self.config.access.key_file, self.config.databases.mlflow)

    @cached_property
    def catalogue(self) -> Catalogue:
        return load_catalogue(self.catalogue_text, str(self.config.folder / self.config.features))

    @property
    def catalogue_text(self) -> str:
        return self.own_catalogue or self.config.read(self.config.features)

    def with_learned(self, learned: str) -> "Service":
        """The service with these numbers (JSON of `features.states.Learned`) for its catalogue's states, where it has
        states and no numbers yet."""
        missing = self.catalogue.states is not None and self.catalogue.learned is None
        return replace(self, own_catalogue=with_learned(self.catalogue_text, learned)) if learned and missing else self

    def for_model(self, bundle: "Bundle") -> "Service":
        """The service with the numbers that the model's own catalogue has learned."""
        return self.with_learned(learned_in(str(bundle.lineage.get("catalogue", ""))))

    @cached_property
    def history(self) -> History:
        return History(self.workspace.history, self.config.buckets, self.batches)

    @property
    def exposures(self) -> "Exposures":
        from pipelines.exposure import Exposures  # SQLAlchemy takes a while to import: only those who need it wait

        return Exposures(self.config.exposure.url, self.workspace.exposure)

    @property
    def listing_table(self) -> "ListingTable":
        from pipelines.listing_table import ListingTable

        return ListingTable(self.config.forms.database)

    @cached_property
    def identities(self) -> Identities:
        return Identities(self.workspace.identity)

    def mapping(self, source: SourceConfig) -> Mapping:
        return load_mapping(self.config.read(source.mapping), str(self.config.folder / source.mapping))

    def extracts(self, name: str) -> list[Path]:
        """A source's extracts in the order of their names: its sub-folders, or the folder or file itself.

        SourceError where the path is not there, unless the source is optional.
        """
        source = self.config.sources[name]
        path = source.path
        if path.is_file():
            return [path]
        if not path.is_dir():
            if source.optional:
                return []
            message = (
                f"Source '{name}' must be a file or folder; there is none at {path}. Deliver it, or correct its path."
            )
            raise SourceError(message)
        inside = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
        folders = [entry for entry in inside if entry.is_dir()]
        return folders or ([path] if inside else [])
