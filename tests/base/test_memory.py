import ctypes
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from growlm.base.errors import TrainingError
from growlm.base.memory import (
    ALLOCATOR,
    EXPANDABLE,
    OLD_ALLOCATOR,
    keep_freed,
    peak_resident_bytes,
    resident_bytes,
    settle_allocator,
)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_freed_memory_is_kept_where_the_c_library_is_glibc() -> None:
    assert keep_freed()


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not keep_freed()


def test_segments_grow_where_nobody_chose() -> None:
    environment: dict[str, str] = {}
    assert settle_allocator(environment) == EXPANDABLE
    assert environment == {ALLOCATOR: EXPANDABLE}


@pytest.mark.parametrize("name", [ALLOCATOR, OLD_ALLOCATOR])
@pytest.mark.parametrize(
    "chosen", ["expandable_segments:False,max_split_size_mb:64", "max_split_size_mb:64", ""]
)
def test_what_somebody_chose_stays(name: str, chosen: str) -> None:
    environment = {name: chosen}
    assert settle_allocator(environment) == chosen
    assert environment == {name: chosen}


@pytest.mark.parametrize("name", [ALLOCATOR, OLD_ALLOCATOR])
def test_segments_that_grow_beside_blocks_never_split_are_refused(name: str) -> None:
    both = {name: "max_split_size_mb:64, expandable_segments:true"}
    with pytest.raises(TrainingError, match="without max_split_size_mb where segments are") as told:
        settle_allocator(both)
    assert str(told.value).endswith(f"Try {name}=expandable_segments:True.")


def test_what_the_process_has_is_less_than_its_most() -> None:
    peak = peak_resident_bytes()
    assert 2**20 < resident_bytes() < 1.1 * peak < 2**40


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc on this system")
def test_the_most_is_this_processs_own_and_not_of_what_started_it() -> None:
    asked = "from growlm.base.memory import peak_resident_bytes as peak; print(peak())"
    starter = (
        "import subprocess, sys; held = b'x' * 2**28; del held; "
        f"subprocess.run([sys.executable, '-c', {asked!r}], check=True)"
    )
    told = subprocess.run(
        [sys.executable, "-c", starter], check=True, capture_output=True, text=True
    )
    assert 2**20 < int(told.stdout) < 2**27


def test_where_the_system_tells_no_more_the_most_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr("pathlib.Path.read_text", missing)
    assert resident_bytes() == peak_resident_bytes()
