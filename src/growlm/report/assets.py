"""The stylesheet and the script of the page, which loads nothing from anywhere."""

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #ffffff; --ink: #1b1f24; --faint: #57606a; --line: #dfe3e8; --wash: #f6f7f9;
  --link: #0b5cad;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #15191e; --ink: #e6e9ed; --faint: #9aa4af; --line: #2c333b; --wash: #1c2127;
    --link: #7ab8f5;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
@media (prefers-reduced-motion: no-preference) { html { scroll-behavior: smooth; } }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
a { color: var(--link); text-decoration-thickness: 1px; text-underline-offset: 2px; }
.page { max-width: 1180px; margin: 0 auto; padding: 40px 24px 96px; }
.contents { font-size: 14px; line-height: 1.4; }
.contents ol { list-style: none; margin: 0; padding: 0; }
.contents a { display: block; padding: 4px 0; color: var(--faint); text-decoration: none; }
.contents a:hover { color: var(--ink); text-decoration: underline; }
@media (min-width: 1000px) {
  .page { display: grid; grid-template-columns: 150px minmax(0, 1fr); column-gap: 48px; }
  .contents { position: sticky; top: 40px; align-self: start; padding-top: 10px; }
}
@media (max-width: 999px) {
  .page { display: flex; flex-direction: column; padding: 24px 16px 64px; }
  .contents ol { display: flex; flex-wrap: wrap; column-gap: 16px; }
  .contents { border-bottom: 1px solid var(--line); padding-bottom: 12px; }
  main { min-width: 0; padding-top: 20px; }
}
h1 { font-size: 32px; line-height: 1.2; letter-spacing: -0.01em; margin: 0 0 8px; }
h2 {
  font-size: 22px; line-height: 1.3; margin: 56px 0 12px; padding-top: 20px;
  border-top: 1px solid var(--line);
}
h3 { font-size: 16px; margin: 28px 0 8px; }
main > section:first-of-type h2 {
  position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); margin: 0;
}
p, ul { margin: 0 0 14px; max-width: 76ch; }
ul { padding-left: 20px; }
li { margin-bottom: 8px; }
.about { color: var(--faint); font-size: 14px; margin-bottom: 28px; }
code {
  font: 0.88em/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace;
  background: var(--wash); border-radius: 4px; padding: 1px 4px; overflow-wrap: anywhere;
}
.table { overflow-x: auto; margin: 16px 0 22px; -webkit-overflow-scrolling: touch; }
table {
  border-collapse: collapse; font-size: 14px; line-height: 1.4;
  font-variant-numeric: tabular-nums;
}
th, td { padding: 7px 18px 7px 0; text-align: left; vertical-align: top; }
th:last-child, td:last-child { padding-right: 2px; }
th { font-weight: 600; border-bottom: 1.5px solid var(--faint); vertical-align: bottom; }
td { border-bottom: 1px solid var(--line); }
td { min-width: 6.5em; }
td[style*="right"] { min-width: 0; white-space: nowrap; }
td code, th code { white-space: nowrap; overflow-wrap: normal; background: none; padding: 0; }
figure { margin: 24px 0 40px; }
figcaption { font-size: 14px; line-height: 1.5; color: var(--faint); max-width: 92ch; }
figcaption strong { display: block; color: var(--ink); font-size: 16px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 8px; margin: 10px 0 8px -8px; }
.legend button {
  display: inline-flex; align-items: center; gap: 8px; border: 0; border-radius: 6px;
  background: none; color: var(--ink); font: inherit; font-size: 14px; padding: 3px 8px;
  cursor: pointer; overflow-wrap: anywhere; text-align: left;
}
.legend button:hover { background: var(--wash); }
.legend button[aria-pressed="true"] { background: var(--wash); box-shadow: 0 0 0 1px var(--line); }
.legend button:focus-visible { outline: 2px solid var(--link); }
.legend svg { flex: none; }
.controls {
  display: flex; flex-wrap: wrap; gap: 8px 24px; margin: 10px 0; font-size: 14px;
  color: var(--faint);
}
.controls label { display: inline-flex; flex-wrap: wrap; align-items: center; gap: 4px 8px; }
.controls select {
  font: inherit; color: var(--ink); background: var(--wash); border: 1px solid var(--line);
  border-radius: 6px; padding: 4px 6px;
}
.controls input { width: 110px; accent-color: var(--link); margin: 0; }
.controls output { color: var(--ink); min-width: 9em; }
.controls select:focus-visible, .controls input:focus-visible, .table:focus-visible {
  outline: 2px solid var(--link); outline-offset: 1px;
}
.skip { position: absolute; left: -999px; top: 0; background: var(--ground); padding: 8px 12px; }
.skip:focus { left: 0; z-index: 1; }
.still { display: none; width: 100%; max-width: 960px; height: auto; background: #ffffff; }
.charts { display: grid; gap: 16px 28px; grid-template-columns: minmax(0, 1fr); }
.charts.several { grid-template-columns: repeat(auto-fit, minmax(min(320px, 100%), 1fr)); }
.chart { width: 100%; min-width: 0; min-height: 250px; }
.vega-embed { width: 100%; }
.vega-embed.has-actions { padding-right: 0 !important; }
.vega-embed summary { opacity: 0.35 !important; }
.vega-embed summary:hover { opacity: 1 !important; }
@media (max-width: 600px) { .vega-embed details { display: none; } }
@media print {
  .contents, .skip, .live { display: none !important; }
  .still { display: block; break-inside: avoid; }
  .page { display: block; max-width: none; padding: 0; }
  .table { overflow: visible; }
  figure, tr { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
}
"""

WITHOUT_SCRIPT = ".live { display: none !important; } .still { display: block; }"
"""What else the stylesheet says where no script runs: pictures in place of charts."""

SCRIPT = """
(() => {
  const page = JSON.parse(document.getElementById("charts").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const boxes = [...document.querySelectorAll(".chart")];
  const buttons = [...document.querySelectorAll(".legend button")];
  const inputs = [...document.querySelectorAll(".controls [data-parameter]")];
  const chosen = new Map([[page.highlight, ""]]);
  const drawn = [];
  let round = 0;

  const reads = (at, name) => page.charts[at].params.some((each) => each.name === name);

  function specification(at) {
    const params = page.charts[at].params.map((each) =>
      chosen.has(each.name) ? { ...each, value: chosen.get(each.name) } : each);
    return { ...page.charts[at], params };
  }

  // Vega-Lite looks for a word in the cell around a point, and finds it in the point only.
  function mended(spec) {
    for (const mark of spec.marks ?? []) {
      const tooltip = mark.encode?.update?.tooltip;
      if (mark.name?.endsWith("voronoi") && tooltip) {
        tooltip.signal = tooltip.signal.replace(/(?<!datum\\.)datum\\["/g, 'datum.datum["');
      }
      mended(mark);
    }
    return spec;
  }

  async function draw(wanted) {
    const mine = ++round;
    const options = {
      config: dark.matches ? page.dark : page.light,
      actions: { export: true, source: false, compiled: false, editor: false },
      tooltip: { theme: dark.matches ? "dark" : "light" },
      renderer: "svg",
      ast: true,
      patch: mended,
    };
    for (const [at, box] of boxes.entries()) {
      if (!wanted(at) && drawn[at]) continue;
      drawn[at]?.finalize();
      drawn[at] = undefined;
      const chart = await vegaEmbed(box, specification(at), options);
      if (mine !== round) { chart.finalize(); return; }
      drawn[at] = chart;
    }
  }

  function choose(name, value, anew) {
    chosen.set(name, value);
    if (anew) { draw((at) => reads(at, name)); return; }
    for (const [at, chart] of drawn.entries()) {
      if (chart && reads(at, name)) chart.view.signal(name, value).run();
    }
  }

  for (const button of buttons) {
    button.addEventListener("click", () => {
      const stage = button.dataset.stage;
      const picked = chosen.get(page.highlight) === stage ? "" : stage;
      for (const each of buttons) {
        each.setAttribute("aria-pressed", String(each.dataset.stage === picked));
      }
      choose(page.highlight, picked, false);
    });
  }
  for (const input of inputs) {
    input.addEventListener("input", () => {
      if (input.dataset.names) {
        const name = JSON.parse(input.dataset.names)[Number(input.value)];
        input.setAttribute("aria-valuetext", name);
        input.nextElementSibling.textContent = name;
      }
      choose(input.dataset.parameter, JSON.parse(input.value), input.dataset.redraws === "1");
    });
  }
  dark.addEventListener("change", () => draw(() => true));
  draw(() => true);
})();
"""
