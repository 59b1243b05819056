// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The fixed parts of the report: markup and style. What moves is in report_script.hpp, the data is put
/// between them by report.cpp. The content security policy forbids any request, so the file is what it says:
/// self-contained.

namespace stofm::program {

inline constexpr const char* report_style = R"css(
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1b2230;--soft:#5a6475;--line:#dde1e8;--accent:#0b62c4;
--warn-bg:#fff4d6;--warn-ink:#5f4300;--plot:#fbfcfd;--mute:#c9ced6;--grid:#8a94a6;--ring:#1b2230}
:root[data-theme=dark]{--bg:#11151c;--card:#1a202a;--ink:#e8ecf2;--soft:#9aa5b6;--line:#2d3644;--accent:#6fb1ff;
--warn-bg:#3a2f10;--warn-ink:#ffe1a0;--plot:#141a22;--mute:#3b4554;--grid:#6b7687;--ring:#fff}
@media (prefers-color-scheme:dark){:root:not([data-theme=light]){--bg:#11151c;--card:#1a202a;--ink:#e8ecf2;--soft:#9aa5b6;
--line:#2d3644;--accent:#6fb1ff;--warn-bg:#3a2f10;--warn-ink:#ffe1a0;--plot:#141a22;--mute:#3b4554;--grid:#6b7687;
--ring:#fff}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main,header{max-width:1500px;margin:0 auto;padding:0 20px}
header{display:flex;align-items:baseline;gap:16px;padding-top:22px;flex-wrap:wrap}
h1{font-size:22px;margin:0;overflow-wrap:anywhere}
h2{font-size:15px;margin:0 0 10px}
header p{margin:0;color:var(--soft)}
header .space{flex:1}
button,select{font:inherit;color:var(--ink);background:var(--card);border:1px solid var(--line);border-radius:7px;
padding:4px 11px;cursor:pointer}
button:hover,select:hover{border-color:var(--accent)}
button:focus-visible,select:focus-visible,input:focus-visible,canvas:focus-visible{outline:2px solid var(--accent);
outline-offset:1px}
.banner{background:var(--warn-bg);color:var(--warn-ink);border-radius:9px;padding:10px 14px;margin:14px 0 0}
.banner p{margin:0}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(112px,1fr));gap:10px;margin:16px 0}
.fact,.card{background:var(--card);border:1px solid var(--line);border-radius:11px}
.fact{padding:8px 11px}
.fact b{display:block;font-size:17px;font-weight:600;line-height:1.35;overflow-wrap:anywhere}
.fact span{color:var(--soft);font-size:13px}
.card{padding:14px 16px;margin-bottom:16px;min-width:0}
.bar{display:flex;gap:8px 16px;align-items:center;flex-wrap:wrap;margin-bottom:12px}
.bar label{display:flex;gap:6px;align-items:center;color:var(--soft);max-width:100%}
.bar select{max-width:min(340px,70vw)}
.plots{display:grid;grid-template-columns:minmax(0,3fr) minmax(0,2fr);gap:16px}
.plot{position:relative;background:var(--plot);border:1px solid var(--line);border-radius:9px;overflow:hidden}
.plot canvas{display:block;width:100%;height:560px;touch-action:none;cursor:crosshair}
.plot .name{position:absolute;left:10px;top:8px;color:var(--soft);font-size:13px;pointer-events:none}
.plot .axes{position:absolute;right:10px;bottom:7px;color:var(--soft);font-size:12px;pointer-events:none}
#tip{position:fixed;pointer-events:none;z-index:9;background:var(--card);border:1px solid var(--line);border-radius:8px;
padding:6px 10px;font-size:13px;box-shadow:0 4px 18px #0003;display:none;white-space:pre-wrap;max-width:340px;
overflow-wrap:anywhere}
#tip b{display:block}
.note{margin:10px 0 0;font-size:14px}
.legend{display:flex;flex-wrap:wrap;gap:3px 4px;margin-top:10px;max-height:150px;overflow:auto}
.legend button{display:flex;align-items:center;gap:6px;border-color:transparent;background:none;padding:1px 7px;
font-size:13px;max-width:min(300px,100%)}
.legend button span{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.legend button[aria-pressed=true]{border-color:var(--accent)}
.legend i{width:12px;height:12px;border-radius:3px;flex:none}
.legend small{color:var(--soft)}
.ramp{display:flex;align-items:center;gap:8px;font-size:13px;color:var(--soft)}
.ramp i{width:220px;height:12px;border-radius:6px}
.hint{color:var(--soft);font-size:13px;margin:8px 0 0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(400px,100%),1fr));gap:0 16px;align-items:start}
table{border-collapse:collapse;width:100%;font-size:14px}
td,th{padding:4px 0;border-top:1px solid var(--line);vertical-align:top;text-align:left;font-weight:400;
overflow-wrap:anywhere}
tr:first-child td,tr:first-child th{border-top:0}
th{color:var(--soft);padding-right:14px;width:38%}
.rows{display:grid;grid-template-columns:auto 1fr auto;gap:6px 12px;align-items:center;font-size:14px}
.rows .track{background:var(--line);border-radius:5px;height:11px}
.rows .fill{background:var(--accent);border-radius:5px;height:11px;min-width:2px}
.rows .num{color:var(--soft);text-align:right;font-variant-numeric:tabular-nums}
.stack{display:flex;height:15px;border-radius:7px;overflow:hidden;margin-bottom:10px}
ul{margin:0;padding-left:18px;overflow-wrap:anywhere}
li+li{margin-top:4px}
h3{font-size:14px;margin:12px 0 4px;color:var(--soft);font-weight:600}
pre{margin:0;padding:9px 12px;background:var(--bg);border:1px solid var(--line);border-radius:8px;overflow:auto;
font:12.5px/1.55 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;user-select:all}
@media (min-width:900px){.wide{grid-column:span 2}}
details summary{cursor:pointer;font-weight:600;font-size:15px}
details[open] summary{margin-bottom:10px}
footer{color:var(--soft);font-size:13px;padding:4px 0 26px}
@media (max-width:560px){main,header{padding:0 10px}.card{padding:12px}.facts{grid-template-columns:repeat(auto-fit,minmax(104px,1fr))}
.fact b{font-size:16px}.plot canvas{height:340px!important}}
@media (max-width:980px){.plots{grid-template-columns:minmax(0,1fr)}.plot canvas{height:440px}}
@media print{.bar,.hint,#theme{display:none}}
)css";

inline constexpr const char* report_body = R"html(
<header><h1 id="title"></h1><p id="subtitle"></p><span class="space"></span>
<button id="theme" type="button" aria-label="Switch between light and dark">Light / dark</button></header>
<main>
<div class="banner" id="banner" role="note" hidden></div>
<section class="facts" id="facts" aria-label="Figures"></section>
<section class="card">
<div class="bar">
<label>Colour by <select id="colour"></select></label>
<label><input type="checkbox" id="showgrid"> sub-slice grid</label>
<label><input type="checkbox" id="showvirtual"> virtual cells</label>
<label>Point size <input type="range" id="size" min="-10" max="10" value="0" aria-label="Point size"></label>
<span style="flex:1"></span>
<span id="selected" aria-live="polite"></span>
<button id="clear" type="button" hidden>Clear selection</button>
<button id="reset" type="button">Reset view</button>
</div>
<div class="plots">
<div class="plot"><canvas id="slice" tabindex="0" role="img" aria-label="Map of the slice: one point per cell at its place,
coloured as chosen above"></canvas><span class="name">Slice</span><span class="axes" id="scale"></span></div>
<div class="plot"><canvas id="pca" tabindex="0" role="img" aria-label="Embeddings: one point per cell in the plane of the
first two principal components"></canvas><span class="name">Embeddings</span><span class="axes" id="pcaaxes"></span></div>
</div>
<div class="legend" id="legend"></div>
<p class="note" id="note"></p>
<p class="hint">Wheel: zoom. Drag: move. Shift + drag: select cells, in both views at once. Click a colour: show it alone.</p>
</section>
<div class="cards">
<section class="card wide"><h2>What next</h2><div id="next"></div></section>
<section class="card"><h2>Notes</h2><ul id="notices"></ul></section>
<section class="card"><h2>What was read</h2><table id="source"></table></section>
<section class="card"><h2>Genes</h2><div class="stack" id="stack" role="img"></div><table id="coverage"></table>
<p class="hint" id="unmatched"></p></section>
<section class="card"><h2>Time per stage</h2><div class="rows" id="stages"></div></section>
<section class="card"><details><summary>Model card</summary><table id="model"></table></details></section>
<section class="card"><details><summary>Options of this run</summary><table id="options"></table></details></section>
</div>
<footer id="footer"></footer>
</main>
<div id="tip" role="status"></div>
<noscript><p style="padding:20px">The plots need JavaScript (inside this file; nothing is loaded).</p></noscript>
)html";

}  // namespace stofm::program
