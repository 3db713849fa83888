from __future__ import annotations

from pathlib import Path

import pytest

from local.gateway.static import StaticFiles


@pytest.fixture
def files(tmp_path: Path) -> StaticFiles:
    web, vendor = tmp_path / "web", tmp_path / "echarts"
    (web / "views").mkdir(parents=True)
    vendor.mkdir()
    (web / "index.html").write_text("<!doctype html>")
    (web / "views" / "login.js").write_text("export {}")
    (web / ".env").write_text("SECRET")
    (web / "notes.py").write_text("secret = 1")
    (vendor / "echarts.esm.min.mjs").write_text("export {}")
    (tmp_path / "secret.json").write_text("{}")
    (web / "leak.json").symlink_to(tmp_path / "secret.json")
    return StaticFiles({"/": web, "/vendor/echarts": vendor})


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/index.html", "text/html; charset=utf-8"),
        ("/views/login.js", "text/javascript; charset=utf-8"),
        ("/vendor/echarts/echarts.esm.min.mjs", "text/javascript; charset=utf-8"),
    ],
)
def test_a_file_is_served_with_its_type(files: StaticFiles, path: str, content_type: str) -> None:
    file = files.find(path)
    assert file is not None
    answer = files.read(file, None)
    assert answer.status == 200
    assert dict(answer.headers)["Content-Type"] == content_type
    assert dict(answer.headers)["Content-Length"] == str(len(answer.body))


@pytest.mark.parametrize(
    "path",
    [
        "/missing.js",
        "/../secret.json",
        "/%2e%2e/secret.json",
        "/..%2fsecret.json",
        "/views/../../secret.json",
        "/views/%2e%2e/%2e%2e/secret.json",
        "/..\\secret.json",
        "/%5c..%5csecret.json",
        "//etc/hosts.txt",
        "/%2fetc/hosts.txt",
        "/index.html%00.js",
        "/.env",
        "/notes.py",
        "/leak.json",
        "/views",
        "/views/",
        "/vendor/echarts",
        "/vendor/echarts/",
        "/vendor/echarts/../index.html",
        "/" + "a" * 5000 + ".js",
    ],
)
def test_what_is_no_file_of_the_page_is_not_found(files: StaticFiles, path: str) -> None:
    assert files.find(path) is None


def index(files: StaticFiles) -> Path:
    file = files.find("/")
    assert file is not None
    return file


def test_a_file_that_the_browser_has_is_not_sent_again(files: StaticFiles) -> None:
    file = index(files)
    etag = dict(files.read(file, None).headers)["ETag"]
    for sent in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = files.read(file, sent)
        assert (answer.status, answer.body) == (304, b"")
        assert dict(answer.headers)["ETag"] == etag
    assert files.read(file, '"other"').status == 200


def test_a_changed_file_has_another_etag(files: StaticFiles) -> None:
    file = index(files)
    before = dict(files.read(file, None).headers)["ETag"]
    file.write_text("<!DOCTYPE html>")
    assert dict(files.read(file, None).headers)["ETag"] != before
