import torch

from growlm.training.state import random_tensors, restore_random, seed_dropout


def test_dropout_draws_the_same_after_the_same_seed():
    seed_dropout(1, "base")
    first = torch.rand(4)
    seed_dropout(1, "base")
    assert torch.equal(first, torch.rand(4))
    seed_dropout(1, "grown")
    assert not torch.equal(first, torch.rand(4))


def test_random_states_go_back_to_where_they_were():
    states = random_tensors()
    first = torch.rand(4)
    restore_random(states)
    assert torch.equal(first, torch.rand(4))


def test_loading_copies_into_the_tensors_that_are_there(fresh):
    state, other = fresh(), fresh()
    places = {name: tensor.data_ptr() for name, tensor in state.weights().items()}
    state.load(other.weights(), {})
    assert places == {name: tensor.data_ptr() for name, tensor in state.weights().items()}
