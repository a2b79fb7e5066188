from growlm.report.ledger_tables import break_even, compute, equal_compute, equal_loss


def test_both_conventions_are_told_in_both_ways(run):
    charged, free = equal_loss(run).splitlines()[2:]

    assert "parent charged | 1.884e14 | 2.301e14 | 18.1% | 22.1%" in charged
    assert "parent free | 1.147e14 | 2.301e14 | 50.2% | 100.6%" in free
    assert "extrapolated" in charged


def test_swapping_charged_and_free_would_be_seen(run, edit):
    base, grown = run.stages[:2]
    swapped = edit(run, "grown", flops=base.flops, flops_before=grown.flops)

    assert equal_loss(swapped) != equal_loss(run)
    assert "parent free | 7.373e13" in equal_loss(swapped)


def test_a_parent_that_cost_too_much_gives_a_negative_saving(run, edit):
    dear = edit(run, "grown", flops_before=3e14)

    charged, free = equal_loss(dear).splitlines()[2:]

    assert charged.count("\u2212") == 2
    assert "\u2212" not in free


def test_one_control_bounds_the_saving_in_both_ways(run, edit):
    single = edit(run, "scratch-half", complete=False)

    charged, free = equal_loss(single).splitlines()[2:]

    assert "more than 1.884e14 | more than 0.0% | more than 0.0% | bound only" in charged
    assert "more than 39.1% | more than 64.3%" in free


def test_no_control_gives_no_savings_but_still_the_compute(run):
    alone = run.model_copy(update={"stages": run.stages[:2]})

    assert equal_loss(alone) == equal_compute(alone) == break_even(alone) == ""
    assert "| All stages |  |  | 1.884e14 |" in compute(alone)


def test_equal_compute_and_equal_tokens_are_compared(run):
    charged, free, same = equal_compute(run).splitlines()[2:]

    assert "equal compute, parent charged | 3.8801 | 3.9305 | 0.0504 | a control run" in charged
    assert "equal compute, parent free | 3.8801 | 4.0586 | 0.1785 |" in free
    assert "equal tokens, parents included | 3.8801 | 3.8809 | 0.0008 |" in same


def test_break_even_stands_beside_what_the_child_took(run):
    assert "| `grown` | `scratch` | 13.47M | 8.201M | 8.192M |" in break_even(run)
