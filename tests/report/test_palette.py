from growlm.report.palette import COLOURS, DARK, DASHED, LIGHT, SOLID, colours, dashes


def luminance(colour):
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_stages_have_colours_of_their_own_and_controls_are_dashed(run):
    assert len(set(colours(run.stages).values())) == len(run.stages)
    assert list(dashes(run.stages).values()) == [SOLID, SOLID, DASHED, DASHED]


def test_more_stages_than_colours_repeat_them(run):
    many = [run.stages[0].model_copy(update={"name": str(at)}) for at in range(len(COLOURS) + 1)]

    assert colours(many)["0"] == colours(many)[str(len(COLOURS))]


def test_every_colour_can_be_seen_on_both_backgrounds():
    for ground in (LIGHT["background"], DARK["background"]):
        assert min(contrast(colour, ground) for colour in COLOURS) > 2.0


def test_text_can_be_read_on_both_backgrounds():
    for theme in (LIGHT, DARK):
        for colour in (theme["text"]["fill"], theme["axis"]["labelColor"]):
            assert contrast(colour, theme["background"]) > 4.5
