"""The playground's page: one prompt, one column a model, on this machine alone."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from growlm.base.errors import GrowlmError, RecipeError
from growlm.pipeline.generating import USUAL, open_writer
from growlm.web.columns import Writes, order_of, short_names, side_by_side
from growlm.web.tokens import CSS, mistake, safe

HOST = "127.0.0.1"
"""Nothing outside this machine can reach it."""

PORT = 7860
"""Where the page listens, unless told otherwise."""

FONTS = ["system-ui", "sans-serif"]
"""Fonts that are there; others would be fetched."""

KEY = (
    '<p class="growlm-note">A token is coloured by how unlikely the model found it: '
    '0.1% or less <span class="growlm-key" aria-hidden="true"></span> certain. '
    "Point at one for what else was likely; the table below a finished text says the same.</p>"
)

NUMBERS: dict[str, dict[str, Any]] = {
    "temperature": {
        "label": "Temperature",
        "info": "Below 1 the likely tokens win more often",
        "value": USUAL.temperature,
        "minimum": 0.0,
        "maximum": 2.0,
        "step": 0.05,
    },
    "top_k": {
        "label": "Top-k",
        "info": "So many of the likeliest tokens are left; 0 leaves all",
        "value": USUAL.top_k or 0,
        "minimum": 0,
        "maximum": 200,
        "step": 1,
    },
    "top_p": {
        "label": "Top-p",
        "info": "The likeliest that have this probability are left; 1 leaves all",
        "value": USUAL.top_p,
        "minimum": 0.01,
        "maximum": 1.0,
        "step": 0.01,
    },
    "repetition_penalty": {
        "label": "Repetition penalty",
        "info": "Above 1, tokens that stand there already are less likely",
        "value": USUAL.repetition_penalty,
        "minimum": 1.0,
        "maximum": 2.0,
        "step": 0.05,
    },
    "tokens": {
        "label": "Tokens",
        "info": "New ones, at most",
        "value": USUAL.tokens,
        "minimum": 1,
        "maximum": 1000,
        "step": 1,
    },
}
"""The controls that are numbers, by the order's word: what each slider says and spans."""

SWITCHES: dict[str, dict[str, Any]] = {
    "greedy": {
        "label": "Greedy",
        "info": "Take the likeliest token each time, whatever the temperature",
        "value": USUAL.greedy,
    },
    "stop": {
        "label": "Stop at the end of text",
        "info": "Otherwise it is written on behind it",
        "value": USUAL.stop,
    },
}
"""The controls that are on or off."""

SEED = {"label": "Seed", "info": "The same for every column", "value": USUAL.seed, "precision": 0}

HEAD = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'self\' data: blob:; '
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'\">"
)
"""The browser is told to fetch from this page's own address and from nowhere else."""

LAUNCH: dict[str, Any] = {
    "server_name": HOST,
    "share": False,
    "quiet": True,
    "prevent_thread_lock": True,
    "enable_monitoring": False,
    "run_history": False,
    "ssr_mode": False,
    "mcp_server": False,
    "show_error": False,
    "footer_links": [],
    "css": CSS,
    "head": HEAD,
}
"""How the page is served: to this machine only, through nobody else, and telling nobody."""


def answer(writers: Sequence[Writes], prompt: str, values: Sequence[Any]) -> Iterator[list[str]]:
    """Yield the columns for what the controls say; a mistake in them stands in every column."""
    names = [*NUMBERS, "seed", *SWITCHES]
    try:
        order = order_of(dict(zip(names, values, strict=True)))
    except GrowlmError as error:
        yield [mistake(str(error))] * len(writers)
        return
    yield from side_by_side(writers, prompt, order)


def gradio() -> Any:
    """Return the package that the page is made with.

    Raises:
        RecipeError: It is not installed.
    """
    try:
        import gradio as found  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise RecipeError(
            "the package gradio, which the page is made with",
            got="a Python without it",
            fix="pip install 'growlm[web]', or growlm generate, which needs no page",
        ) from error
    return found


def page(writers: Sequence[Writes]) -> Any:
    """Return the page, ready to be served.

    Raises:
        RecipeError: Gradio is not installed.
    """
    gr = gradio()
    with gr.Blocks(title="growlm play", analytics_enabled=False) as blocks:
        gr.HTML("<h1>growlm play</h1>")
        prompt = gr.Textbox(label="Prompt", lines=3, max_lines=12, autofocus=True)
        with gr.Row():
            go = gr.Button("Write", variant="primary")
            halt = gr.Button("Stop")
        controls = _controls(gr)
        gr.HTML(KEY)
        views = _columns(gr, writers)

        def write(text: str, *values: Any) -> Iterator[Any]:
            for columns in answer(writers, text, values):
                yield columns if len(columns) > 1 else columns[0]

        told = {"inputs": [prompt, *controls], "outputs": views, "show_progress": "hidden"}
        told["api_visibility"] = "private"
        started = [go.click(write, **told), prompt.submit(write, **told)]
        halt.click(None, cancels=started)
    return blocks


def _controls(gr: Any) -> list[Any]:
    makers = [
        *((gr.Slider, each) for each in NUMBERS.values()),
        (gr.Number, SEED),
        *((gr.Checkbox, each) for each in SWITCHES.values()),
    ]
    made: list[Any] = []
    with gr.Accordion("Settings", open=True), gr.Row():
        for control, says in makers:
            with gr.Column(min_width=220):
                made.append(control(**says))
    return made


def _columns(gr: Any, writers: Sequence[Writes]) -> list[Any]:
    views: list[Any] = []
    with gr.Row():
        for writer in writers:
            with gr.Column(min_width=280):
                gr.HTML(f"<h2>{safe(writer.name)}</h2>")
                views.append(gr.HTML())
    return views


def opened_page(
    paths: Sequence[Path], *, port: int, opened: bool, compiled: bool
) -> tuple[Any, str]:
    """Serve the page of models on the disk, and return it with its address.

    Args:
        paths: Checkpoints' or Hugging Face folders, one a column.
        port: Where it listens.
        opened: Whether a browser is opened at it.
        compiled: Whether steps are compiled where there is a GPU.

    Raises:
        RecipeError: Gradio is not installed, or the port is taken.
        CheckpointError: There is no such model, or it is damaged.
    """
    gradio()  # before anything is read
    writers = [
        open_writer(path, name=name, compiled=compiled)
        for path, name in zip(paths, short_names(paths), strict=True)
    ]
    return serve(writers, port=port, opened=opened)


def serve(writers: Sequence[Writes], *, port: int, opened: bool) -> tuple[Any, str]:
    """Serve the page, and return it with its address; it goes on in the background.

    Args:
        writers: One a column.
        port: Where it listens.
        opened: Whether a browser is opened at it.

    Raises:
        RecipeError: Gradio is not installed, or the port is taken.
    """
    gr, blocks = gradio(), page(writers)
    theme = gr.themes.Default(font=FONTS, font_mono=["ui-monospace", "monospace"])
    try:
        blocks.launch(server_port=port, inbrowser=opened, theme=theme, **LAUNCH)
    except OSError as error:
        raise RecipeError(
            f"port {port} of this machine to be free",
            got="another program there",
            fix="--port 7861",
        ) from error
    return blocks, f"http://{HOST}:{port}"
