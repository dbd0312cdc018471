"""What the panes show of the demo images."""

from __future__ import annotations

import pytest

from imgscope.text import size_text
from tests.ui.driver import drawn, row, rows, screen, style

FOREST = """\
bigfile:latest
debian:a
├─ golang:c
└─ ruby:b
   ├─ rails-3.2:e
   └─ rails-4.2:d
kuard:blue
shared base, 3 layers
├─ simple-node:case-1
└─ simple-node:case-2"""

# -- images -------------------------------------------------------------------------------------------


async def test_the_images_are_a_tree() -> None:
    async with screen() as it:
        names = [line[2:40].rstrip() for line in rows(it.images)]
        assert names == FOREST.splitlines()
        assert drawn(it.images)[1].split() == ["image", "size", "unique", "wasted", "age"]
        assert it.head == "imgscope  ·  9 images  ·  16.7 MB  ·  demo images"


async def test_sizes_unique_and_wasted_bytes() -> None:
    async with screen() as it:
        for line in (
            "bigfile:latest 3.41 MB 3.41 MB 3 MB ",
            "ruby:b 3.27 MB 0 B 553 kB ",
            "golang:c 7.85 MB 6.18 MB 1.08 MB ",
            "rails-4.2:d 4.1 MB 830 kB 1.08 MB ",
        ):
            assert line in row(it.images, line.split()[0], width=80)
        assert row(it.images, "shared base", width=80).endswith("3 layers 1.18 MB")


async def test_what_containers_use_is_shown_where_a_source_knows_of_any() -> None:
    async with screen() as it:
        assert "used by" not in drawn(it.images)[1]


async def test_columns_are_aligned() -> None:
    """Every figure ends where the name of its column ends."""
    async with screen(size=(100, 40)) as it:
        for pane in it.panes:
            assert {len(line) for line in rows(pane)} == {pane.size.width - 2}
        _, head, first, *_ = drawn(it.images)
        for column, figure in (("size", "3.41 MB"), ("wasted", "  3 MB")):
            assert head.index(column) + len(column) == first.index(figure) + len(figure)
        _, head, first, *_ = drawn(it.layers)
        for column, figure in (("size", "3.01 MB"), ("dead", " 3 MB"), ("instruction", "ADD BigFile")):
            end = (len(column), len(figure)) if column != "instruction" else (0, 0)
            assert head.index(column) + end[0] == first.index(figure) + end[1]


async def test_a_shared_base_says_what_it_is() -> None:
    async with screen() as it:
        it.images.cursor = 7
        await it.settle()
        assert "in common" in str(it)
        assert it.wasted.row_count == it.files.row_count == it.layers.row_count == 0
        await it.press("enter")
        assert it.images.row_count == 8
        assert "shared base, 3 layers …" in row(it.images, "shared base")
        await it.press("enter", "down")
        assert it.images.row_count == 10
        assert it.analysis.image.name == "simple-node:case-1"


async def test_branches_close_and_open() -> None:
    async with screen() as it:
        await it.press("down", "left")
        assert [line[2:20].strip() for line in rows(it.images)][:3] == [
            "bigfile:latest",
            "debian:a …",
            "kuard:blue",
        ]
        await it.press("right", "right")
        assert it.images.row_count == 10
        assert it.images.node is not None
        assert it.images.node.references == ("golang:c",)
        await it.press("h")
        assert it.images.cursor == 1


# -- layers -------------------------------------------------------------------------------------------


async def test_the_layers_of_an_image() -> None:
    async with screen("demo:bigfile") as it:
        assert it.focused == "layers"
        assert it.layers.title == ("layers", "bigfile:latest", "3 layers")
        assert [" ".join(line.split()) for line in rows(it.layers, 70)] == [
            "1 ████████ 3.01 MB 3 MB ADD BigFile busybox.tar /",
            "2 0 B 0 B RUN rm /BigFile",
            "3 █▏ 400 kB 0 B COPY server /usr/local/bin/server",
            'ENTRYPOINT ["/usr/local/bin/server"]',
        ]


async def test_steps_of_no_layer_are_dim_and_have_no_bytes() -> None:
    async with screen("demo:ruby:b") as it:
        assert style(it.layers, 'CMD ["irb"]') == "dim"
        assert row(it.layers, 'CMD ["irb"]') == 'CMD ["irb"]'
        assert style(it.layers, "RUN apt-get update") == ""
        assert "nop" not in " ".join(rows(it.layers, 200))
        assert "/bin/sh" not in " ".join(rows(it.layers, 200))


async def test_a_step_of_no_layer_shows_the_files_of_the_layer_below() -> None:
    async with screen("demo:ruby:b") as it:
        await it.press("down")
        assert it.title[1] == "layer 1, changes"
        await it.press("down")
        assert it.title[1] == "layer 2, changes"
        await it.press("G")
        assert it.title[1] == "layer 2, changes"


# -- files --------------------------------------------------------------------------------------------


async def test_what_a_layer_adds_and_changes() -> None:
    async with screen("demo:ruby:b") as it:
        await it.layer(2)
        assert it.title == ("files", "layer 2, changes", "1.6 MB")
        assert row(it.files, " ld.so.cache") == "~ ld.so.cache (content, mtime) ▏ 212 B"
        assert row(it.files, "  ruby3.1 ") == "+ ruby3.1 ▏ 330 B"
        assert row(it.files, "alternatives/") == "≈ ▾ alternatives/ (mtime)"
        assert row(it.files, " usr/").startswith("▾ usr/")
        assert style(it.files, "ld.so.cache") == "changed"
        assert style(it.files, "openssl") == "added"


async def test_links_show_where_they_lead() -> None:
    async with screen("demo:ruby:b") as it:
        await it.layer(2)
        assert row(it.files, "/usr/bin/ruby3.1") == "+ ruby → /usr/bin/ruby3.1"


async def test_wide_panes_have_mode_and_owner() -> None:
    async with screen("demo:ruby:b", size=(170, 40)) as it:
        await it.layer(2)
        assert row(it.files, " ld.so.cache") == "~ ld.so.cache (content, mtime) -rw-r--r-- 0:0 ▏ 212 B"
        assert drawn(it.files)[1].split() == ["name", "mode", "owner", "share", "size"]


async def test_merged_shows_all_files_up_to_the_layer() -> None:
    async with screen("demo:ruby:b") as it:
        await it.layer(2)
        await it.press("v")
        assert it.title == ("files", "layers 1–2 merged", size_text(it.analysis.waste.live))
        names = {line[4:].split("/")[0].strip() for line in rows(it.files)}
        assert {"boot", "etc", "home", "usr", "var"} <= names
        await it.press("v")
        assert it.title[1:] == ("layer 2, changes", "1.6 MB")


async def test_what_is_dead_is_marked_where_it_is_stored_and_where_it_is_removed() -> None:
    async with screen("demo:bigfile") as it:
        assert row(it.files, "BigFile") == "+ BigFile ████████ 3 MB dead"
        await it.layer(2)
        assert it.title == ("files", "layer 2, changes", "0 B", "removes 3 MB")
        assert row(it.files, "BigFile") == "− BigFile ████████ −3 MB dead"
        assert style(it.files, "BigFile") == "removed"
        await it.layer(3)
        assert "BigFile" not in " ".join(rows(it.files))


async def test_a_small_tree_is_shown_open() -> None:
    async with screen("demo:bigfile") as it:
        await it.layer(3)
        assert rows(it.files)[-1].split()[:-3] == ["+", "server"]


# -- wasted -------------------------------------------------------------------------------------------


async def test_wasted_paths_come_largest_first_with_their_cause() -> None:
    async with screen("demo:rails-4.2:d", size=(200, 60)) as it:
        assert it.wasted.title == ("wasted", "1.08 MB", "efficiency 74%")
        assert [wasted.dead for wasted in it.wasted.paths] == sorted(
            (wasted.dead for wasted in it.wasted.paths), reverse=True
        )
        assert row(it.wasted, "InRelease") == (
            "▏ 3 kB /var/lib/apt/lists/deb.debian.org_debian_dists_bookworm_InRelease "
            "stored by 1, 2, removed by 4"
        )
        assert row(it.wasted, "ld.so.cache") == "▏ 124 B /etc/ld.so.cache stored by 1, replaced by 2"


async def test_enter_on_a_wasted_path_goes_to_the_copy_that_is_dead() -> None:
    async with screen("demo:rails-4.2:d") as it:
        await it.layer(3)
        await it.press("v")
        it.wasted.focus()
        await it.press("down", "enter")
        assert it.focused == "files"
        assert it.layers.number == 1
        assert it.files.view is not None
        assert not it.files.view.merged
        assert it.files.node is not None
        assert it.files.view.overlay.path(it.files.node) == b"var/cache/debconf/templates.dat"
        assert "dead" in rows(it.files)[it.files.cursor]


async def test_no_waste_is_said_in_words() -> None:
    async with screen("demo:kuard:blue") as it:
        assert it.wasted.title == ("wasted", "0 B", "efficiency 100%")
        assert "nothing: every stored byte is in use" in str(it)


@pytest.mark.parametrize("name", ["simple-node:case-1", "simple-node:case-2"])
async def test_a_little_waste_is_not_rounded_away(name: str) -> None:
    async with screen(f"demo:{name}") as it:
        assert it.wasted.title == ("wasted", "255 B", "efficiency 99.9%")
