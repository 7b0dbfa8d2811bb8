"""The verbs of the Kubernetes API on one kind of resource, typed; resources.py says which kind offers which verb.

Reads ask for the most recent state (no resourceVersion parameter), never for what a cache of the API server holds.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, MutableSequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Final, Generic, TypeVar

import msgspec

from diem_operator.clock import steady_seconds
from diem_operator.cluster.client import ApiServer
from diem_operator.cluster.errors import Gone, UndecodableAnswer
from diem_operator.cluster.paths import ResourceType
from diem_operator.cluster.sharing import Sharing
from diem_operator.cluster.watch import SKETCH, Bookmark, Changed, Undecodable, place_of, read_changes
from diem_operator.model.metadata import ObjectKey, RawObject
from diem_operator.model.names import FIELD_MANAGER

logger = logging.getLogger(__name__)

T = TypeVar("T")

READ_TIMEOUT_SECONDS: Final = 10.0
LIST_TIMEOUT_SECONDS: Final = 30.0
PAGE_SIZE: Final = 500

DECODED_AT_ONCE: Final = 20
"""Objects of a list that are decoded in one go; thousands would hold up everything else for seconds."""

MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"

WATCH_SECONDS: Final = 45
"""How long the API server keeps one watch open.

It sends a bookmark each minute, and two seconds before the end. As this is less than a minute, a watch that breaks
leaves no gap between two confirmations that is longer than twice this.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing(Generic[T]):
    """All objects of a kind at one moment.

    Attributes:
        resource_version: that moment; watch from here.
        undecodable: objects that exist but that our types do not understand; not in `items`, yet not absent.
    """

    items: tuple[T, ...]
    resource_version: int
    undecodable: tuple[ObjectKey, ...] = ()


class ListMeta(msgspec.Struct, frozen=True, rename="camel"):
    """`metadata` of a list; without a version no watch could go on from it."""

    resource_version: Annotated[str, msgspec.Meta(pattern="^[0-9]+$")]
    continue_: str = msgspec.field(name="continue", default="")


class Page(msgspec.Struct, frozen=True):
    """One answer to a list request; Go writes an empty list as null."""

    metadata: ListMeta
    items: list[msgspec.Raw] | None = None


_Selection = tuple[str, str | None, str | None]
"""The path, the labels and the fields that a list is asked for with."""

PAGE: Final = msgspec.json.Decoder(Page)


class Endpoint(Generic[T]):
    """One kind of resource at one API server."""

    def __init__(self, server: ApiServer, resource: ResourceType, item_type: type[T]) -> None:
        self._server = server
        self._resource = resource
        self._decoder = msgspec.json.Decoder(item_type)
        self._lists: Sharing[_Selection, Listing[T]] = Sharing(steady_seconds)

    def __repr__(self) -> str:
        return f"Endpoint({self._resource.plural})"

    async def get(self, key: ObjectKey, *, timeout_seconds: float = READ_TIMEOUT_SECONDS) -> T:
        """Return the object as it is now.

        Raises:
            NotFound: it does not exist.
            ClusterError: see `errors`.
        """
        path = self._resource.item(key.namespace, key.name)
        return self._decode(f"GET {path}", await self._server.request("GET", path, timeout_seconds=timeout_seconds))

    async def list(
        self,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        timeout_seconds: float = LIST_TIMEOUT_SECONDS,
        begun_since: float | None = None,
    ) -> Listing[T]:
        """Return all objects as they are now, in one namespace or in all; pages share one moment.

        Args:
            namespace: None for all.
            label_selector: as kubectl takes it.
            field_selector: as kubectl takes it.
            timeout_seconds: for each page.
            begun_since: the same list, where another caller has begun it at this time (`clock.steady_seconds`) or later
                and still waits for it, will do; None: only one that begins now.

        Raises:
            ClusterError: see `errors`.
        """
        path = self._resource.collection(namespace)
        query = _selectors(label_selector, field_selector)
        selection = (path, label_selector, field_selector)
        if begun_since is not None:
            joined = await self._lists.join(selection, begun_since=begun_since)
            if joined is not None:
                return joined
        return await self._lists.ask(selection, lambda: self._list(path, query, timeout_seconds))

    async def _list(self, path: str, query: dict[str, str], timeout_seconds: float) -> Listing[T]:
        try:
            return await self._list_pages(path, query | {"limit": str(PAGE_SIZE)}, timeout_seconds)
        except Gone:
            # The pages' moment was compacted away between two of them: take everything at once instead.
            return await self._list_pages(path, query, timeout_seconds)

    @asynccontextmanager
    async def watch(
        self,
        namespace: str | None = None,
        *,
        resource_version: int,
        inactivity_seconds: float,
        label_selector: str | None = None,
    ) -> AsyncIterator[AsyncIterator[Changed[T] | Undecodable | Bookmark]]:
        """Open a watch of the changes after a resourceVersion; it ends without an error when the server ends it.

        Args:
            namespace: None for all.
            resource_version: of a list, or of the last change seen.
            inactivity_seconds: without a byte for so long, the stream counts as lost.
            label_selector: as kubectl takes it.

        Raises:
            Gone: the resourceVersion is too old; list again.
            ClusterError: see `errors`.
        """
        path = self._resource.collection(namespace)
        query = _selectors(label_selector, None) | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": str(resource_version),
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        async with (
            self._server.stream(path, query=query, inactivity_seconds=inactivity_seconds) as chunks,
            aclosing(read_changes(f"WATCH {path}", chunks, self._decoder)) as changes,
        ):
            yield changes

    async def _create(self, namespace: str, manifest: RawObject, *, timeout_seconds: float) -> T:
        path = self._resource.collection(namespace)
        return self._decode(f"POST {path}", await self._write("POST", path, manifest, timeout_seconds=timeout_seconds))

    async def _replace(self, key: ObjectKey, manifest: RawObject, *, timeout_seconds: float) -> T:
        path = self._resource.item(key.namespace, key.name)
        return self._decode(f"PUT {path}", await self._write("PUT", path, manifest, timeout_seconds=timeout_seconds))

    async def _patch(
        self,
        key: ObjectKey,
        patch: object,
        *,
        content_type: str,
        timeout_seconds: float,
        subresource: str = "",
    ) -> T:
        path = self._resource.item(key.namespace, key.name, subresource=subresource)
        body = await self._write("PATCH", path, patch, timeout_seconds=timeout_seconds, content_type=content_type)
        return self._decode(f"PATCH {path}", body)

    async def _write(
        self,
        method: str,
        path: str,
        body: object,
        *,
        timeout_seconds: float,
        content_type: str = "application/json",
    ) -> bytes:
        return await self._server.request(
            method,
            path,
            query={"fieldManager": FIELD_MANAGER},
            body=body,
            content_type=content_type,
            timeout_seconds=timeout_seconds,
        )

    async def _list_pages(self, path: str, query: Mapping[str, str], timeout_seconds: float) -> Listing[T]:
        """Read and decode page by page; between any few objects others get their turn, such as the lease's renewal."""
        items: list[T] = []
        undecodable: list[ObjectKey] = []
        page = await self._page(path, query, timeout_seconds)
        resource_version = int(page.metadata.resource_version)
        while True:
            for place, raw in enumerate(page.items or ()):
                self._take(f"LIST {path}", raw, items, undecodable)
                if place % DECODED_AT_ONCE == 0:
                    await asyncio.sleep(0)
            if not page.metadata.continue_:
                return Listing(items=tuple(items), resource_version=resource_version, undecodable=tuple(undecodable))
            page = await self._page(path, {**query, "continue": page.metadata.continue_}, timeout_seconds)

    async def _page(self, path: str, query: Mapping[str, str], timeout_seconds: float) -> Page:
        body = await self._server.request("GET", path, query=query, timeout_seconds=timeout_seconds)
        try:
            return PAGE.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _undecodable(f"LIST {path}", error) from None

    def _take(
        self, what: str, raw: msgspec.Raw, items: MutableSequence[T], undecodable: MutableSequence[ObjectKey]
    ) -> None:
        try:
            items.append(self._decoder.decode(raw))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            undecodable.append(_key_in(what, raw))
            logger.warning("%s: %s cannot be decoded, %s", what, undecodable[-1], place_of(error))

    def _decode(self, what: str, body: bytes) -> T:
        try:
            return self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _undecodable(what, error) from None


def _key_in(what: str, raw: msgspec.Raw) -> ObjectKey:
    try:
        return SKETCH.decode(raw).key
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _undecodable(what, error) from None


def _undecodable(what: str, error: Exception) -> UndecodableAnswer:
    """Return the error for an answer of the wrong form; not chained, the decoder's own may quote the answer."""
    return UndecodableAnswer(
        f"{what}: the answer cannot be decoded, {place_of(error)}; is the CRD of this release installed?"
    )


def _selectors(labels: str | None, fields: str | None) -> dict[str, str]:
    wanted = {"labelSelector": labels, "fieldSelector": fields}
    return {name: value for name, value in wanted.items() if value is not None}
