"""Imitations of image search services on loopback: their reply shapes, their paging and their faults."""

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from loopback import Server, answer

from corpuskit import settings
from corpuskit.crawl.search import Search
from corpuskit.stage import Split, Stage, Step

DATE = "Tue, 24 Nov 2026 08:00:00 GMT"

Asked = dict[str, str]
Answerer = Callable[[Asked], bytes]


def asked(head: bytes) -> Asked:
    """Return the parameters of a request, its path as `/`, and its headers as `name:`."""
    lines = head.decode("latin-1").split("\r\n")
    parts = urlsplit(lines[0].split(" ")[1])
    headers = {
        f"{name.lower()}:": value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
    }
    return {**dict(parse_qsl(parts.query, keep_blank_values=True)), "/": parts.path, **headers}


def script(answerer: Answerer) -> Callable[[socket.socket, bytes], bool]:
    """Answer each request with what `answerer` makes of its parameters."""

    def serve(connection: socket.socket, head: bytes) -> bool:
        connection.sendall(answerer(asked(head)))
        return True

    return serve


def told(value: Any, status: str = "200 OK", **headers: str) -> bytes:  # noqa: ANN401 - JSON
    """Build an answer in JSON."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return answer(body, status, **{"Content_Type": "application/json", "Date": DATE, **headers})


def settings_for(server: Server) -> dict[str, Any]:
    """Say where an imitation is, with waits short enough for a test."""
    return {
        "contact": "crawler@corpus.mit.edu",
        "service_url": f"http://127.0.0.1:{server.port}",
        "ports": (server.port,),
        "allow": ("127.0.0.1",),
        "delay": 0.01,
    }


def openverse_image(name: str, **facts: Any) -> dict[str, Any]:  # noqa: ANN401
    """Describe an image as Openverse does."""
    return {
        "id": name,
        "title": f"A picture of {name}",
        "indexed_on": "2024-01-01T00:00:00Z",
        "foreign_landing_url": f"https://www.flickr.com/photos/ann/{name}",
        "url": f"https://live.staticflickr.com/1/{name}_b.jpg",
        "creator": "Ann",
        "creator_url": "https://www.flickr.com/photos/ann",
        "license": "by-sa",
        "license_version": "2.0",
        "license_url": "https://creativecommons.org/licenses/by-sa/2.0/",
        "provider": "flickr",
        "source": "flickr",
        "category": "photograph",
        "filesize": None,
        "filetype": "jpg",
        "tags": [{"name": "dog", "accuracy": None, "unstable__provider": "flickr"}, {"name": "grass"}],
        "attribution": f'"A picture of {name}" by Ann is licensed under CC BY-SA 2.0.',
        "mature": False,
        "height": 683,
        "width": 1024,
        "thumbnail": f"https://api.openverse.org/v1/images/{name}/thumb/",
    } | facts


def openverse(catalogue: dict[str, list[dict[str, Any]]]) -> Answerer:
    """Imitate `GET /v1/images/`, with its limits for those without a token."""

    def answered(request: Asked) -> bytes:
        page, size = int(request.get("page", 1)), int(request.get("page_size", 20))
        if request["/"] != "/v1/images/" or page > 20:
            return told({"detail": "Invalid page."}, "404 Not Found")
        if size > 20 and "authorization:" not in request:
            return told({"detail": "page_size may not exceed 20"}, "401 Unauthorized")
        found = catalogue.get(request["q"], [])
        if wanted := request.get("license"):
            found = [item for item in found if item["license"] in wanted.split(",")]
        pages = min(20, -(-len(found) // size))
        return told(
            {
                "result_count": len(found),
                "page_count": pages,
                "page_size": size,
                "page": page,
                "results": found[(page - 1) * size : page * size],
            }
        )

    return answered


def commons_page(number: int, index: int, **facts: Any) -> dict[str, Any]:  # noqa: ANN401
    """Describe a file as Commons does, `formatversion=2`."""
    name = f"Dog_{number}.jpg"
    said = {
        "ObjectName": f"Dog {number}",
        "ImageDescription": f"<p>A <b>dog</b> &amp; number {number}</p>",
        "Artist": '<a href="//commons.wikimedia.org/wiki/User:Ann" title="User:Ann">Ann</a>',
        "Categories": "Dogs|Grass",
        "License": "cc-by-sa-4.0",
        "LicenseShortName": "CC BY-SA 4.0",
        "LicenseUrl": "https://creativecommons.org/licenses/by-sa/4.0",
        "AttributionRequired": "true",
    } | facts.pop("extmetadata", {})
    info = {
        "size": 1000,
        "width": 4000,
        "height": 3000,
        "url": f"https://upload.wikimedia.org/wikipedia/commons/0/0{number}/{name}",
        "descriptionurl": f"https://commons.wikimedia.org/wiki/File:{name}",
        "descriptionshorturl": f"https://commons.wikimedia.org/w/index.php?curid={number}",
        "sha1": "0" * 40,
        "extmetadata": {
            key: {"value": value, "source": "commons-desc-page"} for key, value in said.items() if value
        },
        "mime": "image/jpeg",
    } | facts
    return {
        "pageid": number,
        "ns": 6,
        "title": f"File:{name.replace('_', ' ')}",
        "index": index,
        "imagerepository": "local",
        "imageinfo": [info],
    }


def flickr_photo(number: int, **facts: Any) -> dict[str, Any]:  # noqa: ANN401
    """Describe a photo as Flickr does, with the extras that are asked for."""
    return {
        "id": str(number),
        "owner": "12345678@N00",
        "secret": "abc",
        "server": "65535",
        "farm": 66,
        "title": f"Dog {number}",
        "ispublic": 1,
        "license": "4",
        "ownername": "Ann",
        "description": {"_content": "My <i>dog</i>"},
        "tags": "dog grass",
        "url_l": f"https://live.staticflickr.com/65535/{number}_abc_b.jpg",
        "height_l": 683,
        "width_l": "1024",
        "url_m": f"https://live.staticflickr.com/65535/{number}_abc.jpg",
        "height_m": 333,
        "width_m": 500,
    } | facts


@dataclass(frozen=True)
class Same(Stage):
    """Keeps everything."""

    name = "crawl.test.same"

    def split(self, batch):
        return Split(batch)


@dataclass(frozen=True)
class Outer(Search):
    """A chain that has the search as a step it keeps."""

    name = "crawl.test.outer"

    def steps(self):
        return Step(settings.passed_on(Search, self), sources=True, kept=True), Step(Same(), steps=(0,))
