import torch

from growlm.optim.sharded import is_sharded, local, sharded_like, whole


def test_a_tensor_of_a_single_process_is_whole_as_it_is():
    # What lies in parts is tested with ranks, in tests/training/test_parallel.py.
    tensor = torch.ones(3)
    assert not is_sharded(tensor)
    assert local(tensor) is tensor
    assert sharded_like(tensor, torch.zeros(3)) is tensor
    assert whole({"weight": tensor})["weight"] is tensor
