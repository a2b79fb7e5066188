"""What is asked of the disk before anything runs, beside what a finished run left there."""

from safetensors import safe_open

from growlm.pipeline.checking import DISK_MARGIN, disk_bytes, disk_needed, lasting_bytes
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.open import plan_of

HELD = ("model.safetensors", "optimizer.safetensors")


def held(folder):
    """Return the bytes of all weights and moments in a folder."""
    size = 0
    for path in (each for name in HELD for each in folder.rglob(name)):
        with safe_open(path, framework="pt") as file:
            tensors = [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118
        size += sum(each.numel() * each.element_size() for each in tensors)
    return size


def test_what_a_finished_stage_leaves_is_what_was_planned(finished):
    for stage in plan_of(finished / "tiny.toml", ()).stages:
        there = held(finished / "run/stages" / stage.name)
        if stage.name == "grown":  # averaged: planned as whole, and the average is weights alone
            assert 0.8 * lasting_bytes(stage) < there < lasting_bytes(stage)
        else:
            assert there == lasting_bytes(stage), stage.name


def test_stages_that_train_one_after_the_other_share_the_room_to_resume_from(finished):
    plan = plan_of(finished / "tiny.toml", ())
    stay = sum(map(lasting_bytes, plan.stages))
    most = max(disk_bytes(stage) - lasting_bytes(stage) for stage in plan.stages)
    needed = disk_needed([(plan, None)])
    assert needed == int((stay + most) * DISK_MARGIN)
    # Of two runs, one trains while the other waits.
    both = disk_needed([(plan, None), (plan, None)])
    assert both == int((2 * stay + most) * DISK_MARGIN)
    assert disk_needed([(plan, RunFolder(path=finished / "run"))]) == 0
