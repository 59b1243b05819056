// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Markup and style of the report of a task, besides those of report_html.hpp. Parts without data are removed
/// by the scripts.

namespace stofm::program {

inline constexpr const char* task_report_style = R"css(
.bar .tools{display:flex}.bar .tools button{border-radius:0;border-left-width:0}
.bar .tools button:first-child{border-radius:7px 0 0 7px;border-left-width:1px}
.bar .tools button:last-child{border-radius:0 7px 7px 0}
.bar .tools button[aria-pressed=true]{background:var(--accent);border-color:var(--accent);color:var(--card)}
.plots.three{grid-template-columns:repeat(3,minmax(0,1fr))}.plots.two{grid-template-columns:repeat(2,minmax(0,1fr))}
.plots.one{grid-template-columns:minmax(0,1fr)}
.plots .plot canvas{height:520px;touch-action:pan-x pan-y}.plots.held .plot canvas{touch-action:none}
.plots.three .plot canvas{height:450px}
.plot .name{max-width:calc(100% - 20px);overflow:hidden;text-overflow:ellipsis;white-space:nowrap;background:var(--plot);
padding:0 4px;border-radius:4px}
.combo{position:relative;display:inline-block;max-width:100%}
.combo input,.filter{font:inherit;color:var(--ink);background:var(--card);border:1px solid var(--line);border-radius:7px;padding:4px 11px;
width:210px;max-width:66vw;text-overflow:ellipsis}
.combo ul{position:absolute;z-index:8;left:0;top:calc(100% + 3px);width:330px;max-width:88vw;max-height:340px;overflow:auto;list-style:none;
margin:0;padding:4px;background:var(--card);border:1px solid var(--line);border-radius:8px;box-shadow:0 6px 22px #0004}
.combo li{padding:3px 9px;border-radius:5px;cursor:pointer;margin:0;color:var(--ink)}
.combo li.head{color:var(--soft);font-size:12px;font-weight:600;cursor:default;padding-top:6px}
.combo li[aria-selected=true]{background:var(--accent);color:var(--card)}
.chips{display:flex;flex-wrap:wrap;gap:6px;margin-bottom:10px}
.chips button{font-size:13px;padding:1px 10px;border-radius:14px;max-width:100%;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.chips button[aria-pressed=true]{border-color:var(--accent)}.chips button[aria-pressed=false]{color:var(--soft);text-decoration:line-through}
.chosen{margin:12px 0 0}
.legends{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(380px,100%),1fr));gap:4px 20px}
.legends h3{margin:10px 0 0;overflow-wrap:anywhere}.legends .legend{margin-top:4px;max-height:180px;align-content:flex-start}
.legend.lit button[aria-pressed=false]{opacity:.45}
.ramp{flex-wrap:wrap}.ramp input{font:inherit;font-size:13px;width:84px;color:var(--ink);background:var(--card);border:1px solid var(--line);
border-radius:6px;padding:1px 6px}
.scroll{overflow:auto;max-height:560px}
.wide-card{grid-column:1/-1}#parts{grid-template-columns:repeat(auto-fit,minmax(min(500px,100%),1fr))}header{padding-bottom:14px}.facts{margin-top:2px}.banner{margin:0 0 14px}
.matrix{width:auto;font-size:13px;border-collapse:separate;border-spacing:1px}
.matrix th{border:0;padding:2px 6px;width:auto;white-space:nowrap;max-width:160px;overflow:hidden;text-overflow:ellipsis;color:var(--ink)}
.matrix thead th{vertical-align:bottom;text-align:left;max-width:none}
.matrix thead th span{writing-mode:vertical-rl;transform:rotate(180deg);max-height:150px;overflow:hidden;text-overflow:ellipsis;display:inline-block;line-height:1.2}
.matrix td{border:0;padding:0;text-align:center;min-width:31px;height:28px;font-variant-numeric:tabular-nums;white-space:nowrap}
.matrix td button{all:unset;box-sizing:border-box;display:block;width:100%;height:28px;line-height:28px;padding:0 5px;border-radius:3px;text-align:center}
.matrix td button.can{cursor:pointer}.matrix td button:focus-visible{outline:2px solid var(--accent);outline-offset:1px}
.matrix td button.same{box-shadow:inset 0 0 0 1.5px var(--soft)}
.matrix td button[aria-pressed=true]{box-shadow:inset 0 0 0 3px var(--ring)}
.matrix .total{color:var(--soft);padding:0 8px;text-align:right}
.matrix.many td{min-width:20px;height:20px}.matrix.many td button{height:20px;line-height:20px;padding:0 2px;font-size:10px}.matrix.many{font-size:11px}
.whisk{position:relative}.whisk .fill{max-width:100%}.whisk i{position:absolute;top:50%;height:0;border-top:2px solid var(--ring)}
.whisk i:before,.whisk i:after{content:"";position:absolute;top:-5px;height:8px;border-left:2px solid var(--ring)}
.whisk i:before{left:0}.whisk i:after{right:0}
.whisk u{position:absolute;top:-3px;bottom:-3px;width:0;border-left:1px solid var(--soft)}
#parts .rows{grid-template-columns:fit-content(200px) minmax(90px,1fr) auto}.bar input[type=range]{width:96px}
.rows .who{display:flex;align-items:center;gap:7px;min-width:0;max-width:200px}
.rows .who span{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}.rows .who i,.swatch{width:11px;height:11px;border-radius:3px;flex:none;display:inline-block}
.rows .axis{display:flex;justify-content:space-between;color:var(--soft);font-size:12px}
.grid{width:auto;min-width:100%}.grid th,.grid td{width:auto;padding:4px 14px 4px 0;color:var(--ink)}
.grid thead th{position:sticky;top:0;background:var(--card);color:var(--soft);white-space:nowrap}
.grid thead button{all:unset;cursor:pointer;color:inherit}.grid thead button:focus-visible{outline:2px solid var(--accent)}
.grid td.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.grid th.num{text-align:right}
.small{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(210px,46%),1fr));gap:10px}
.small button{padding:6px;text-align:left;min-width:0;border-radius:9px;background:var(--plot)}
.small button[aria-pressed=true]{border-color:var(--accent);box-shadow:0 0 0 1px var(--accent)}
.small canvas{display:block;width:100%;height:170px}
.small div{display:flex;gap:6px;font-size:13px}.small div span{flex:1;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.small small{color:var(--soft);white-space:nowrap}
.row{display:flex;gap:8px;align-items:center;flex-wrap:wrap;margin:0 0 8px}.row h2,.row h3{margin:0;flex:1;overflow-wrap:anywhere}
.row button,.row select{font-size:13px;padding:2px 9px}
.chart svg{display:block;width:100%;height:270px;font:12px system-ui,sans-serif}
.chart .legend span{display:flex;align-items:center;gap:6px;font-size:13px;padding:1px 8px}
.command{color:var(--soft);font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;margin:10px 0 0;overflow-wrap:anywhere}
[hidden]{display:none!important}
@media (max-width:560px){.rows .who{max-width:96px}.rows .ends{display:none}.bar{gap:8px}}
@media (max-width:980px){.plots.three,.plots.two{grid-template-columns:minmax(0,1fr)}.plots .plot canvas{height:400px}}
@media print{:root{color-scheme:light}.bar,.plot .axes,.chips,.hint,.row button,.row select,.filter,#theme,#choose{display:none!important}.card,.plot,.small button{break-inside:avoid}
#maps,#many{break-inside:auto}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}.plots .plot canvas{height:auto!important}
.plots.three{grid-template-columns:repeat(3,minmax(0,1fr))}.plots.two{grid-template-columns:repeat(2,minmax(0,1fr))}.plots:not(.one,.two,.three){grid-template-columns:3fr 2fr}
.small{grid-template-columns:repeat(4,1fr)}.small canvas{height:auto!important}
.scroll{max-height:none;overflow:visible}body{background:#fff}.legends .legend{max-height:none}}
)css";

inline constexpr const char* task_report_body = R"html(
<header><h1 id="title"></h1><p id="subtitle"></p><span class="space"></span>
<button id="theme" type="button" aria-label="Switch between light and dark">Light / dark</button></header>
<main>
<div class="banner" id="banner" role="note" hidden></div>
<section class="facts" id="facts" aria-label="Figures"></section>
<section class="card" id="maps">
<div class="bar">
<label>Colour by <span class="combo" id="colour"></span></label>
<label id="besidelabel">Beside it <span class="combo" id="beside"></span></label>
<span class="tools" role="group" aria-label="What dragging does"><button type="button" id="move" aria-pressed="true">Move</button><button
type="button" id="lasso" aria-pressed="false">Lasso</button><button type="button" id="box" aria-pressed="false">Box</button></span>
<label>Point size <input type="range" id="size" min="-10" max="10" value="0" aria-label="Point size"></label>
<span style="flex:1"></span>
<span class="tools" role="group" aria-label="This picture"><button id="reset" type="button">Reset</button><button id="png"
type="button" aria-label="Save the picture as PNG">PNG</button><button id="svg" type="button" aria-label="Save the picture as SVG">SVG</button></span>
</div>
<div class="chips" id="shown" role="group" aria-label="Slices shown"></div>
<div class="plots" id="plots">
<div class="plot"><canvas id="map0" tabindex="0" role="img"></canvas><span class="name" id="name0"></span><span class="axes" id="scale"></span></div>
<div class="plot" id="plot1"><canvas id="map1" tabindex="0" role="img"></canvas><span class="name" id="name1"></span></div>
<div class="plot" id="plot2"><canvas id="view" tabindex="0" role="img"></canvas><span class="name">Embedding, 2-D view</span></div>
</div>
<div class="bar chosen" id="choose" hidden><b id="selected" aria-live="polite"></b><button id="clear" type="button">Show all cells</button>
<button id="csv" type="button">Save these cells (CSV)</button></div>
<div class="legends" id="legends"></div>
<p class="hint">Wheel, pinch, + and -: zoom. Drag or arrows: move. Shift + drag, or Lasso and Box: select cells, in all views at once.
Click colours: show only these. Escape: show all.</p>
</section>
<section class="card" id="many"><div class="row"><h2>One map each</h2><select id="manyof" aria-label="Which maps"></select></div>
<div class="small" id="small"></div><p class="hint" id="manyhint"></p></section>
<div class="cards" id="parts"></div>
<div class="cards">
<section class="card wide" id="nextcard"><h2>What next</h2><div id="next"></div></section>
<section class="card" id="noticecard"><h2>Notes</h2><ul id="notices"></ul></section>
<section class="card" id="modelcard"><details><summary>Model card</summary><table id="model"></table></details></section>
<section class="card" id="optioncard"><details><summary>Options of this run</summary><table id="options"></table>
<p class="command" id="command"></p></details></section>
</div>
<footer id="footer"></footer>
</main>
<div id="tip" role="status"></div>
<noscript><p style="padding:20px">The plots need JavaScript (inside this file; nothing is loaded).</p></noscript>
)html";

}  // namespace stofm::program
