// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Markup and script of the training report. All text goes through textContent, never through markup.

namespace stofm::program {

inline constexpr const char* training_report_style = R"css(
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(420px,1fr));gap:16px;margin-bottom:16px}
.chart canvas{display:block;width:100%;height:260px}
.chart .legend{margin-top:8px}
.legend span{display:flex;align-items:center;gap:6px;font-size:13px;padding:1px 8px}
)css";

inline constexpr const char* training_report_body = R"html(
<header><h1 id="title"></h1><p id="subtitle"></p><span class="space"></span>
<button id="theme" type="button" aria-label="Switch between light and dark">Light / dark</button></header>
<main>
<div class="banner" id="stopped" role="note" hidden>This run was stopped before its end. Give the same command with --resume
to go on.</div>
<section class="facts" id="facts" aria-label="Figures"></section>
<section class="charts" id="charts"></section>
<div class="cards">
<section class="card"><h2>Held-out slices</h2><table id="heldout"></table>
<p class="hint" id="heldouthint"></p></section>
<section class="card"><h2>Model card</h2><table id="model"></table></section>
<section class="card"><h2>Options</h2><table id="options"></table></section>
<section class="card"><h2>Events</h2><ul id="events"></ul></section>
</div>
<footer id="footer"></footer>
</main>
<div id="tip" role="status"></div>
<noscript><p style="padding:20px">The curves need JavaScript (inside this file; nothing is loaded).</p></noscript>
)html";

inline constexpr const char* training_report_script = R"js(
'use strict';
const D=JSON.parse(document.getElementById('data').textContent);
const $=id=>document.getElementById(id);
const node=(tag,text,cls)=>{const e=document.createElement(tag);if(text!==undefined)e.textContent=text;if(cls)e.className=cls;return e};
const short=v=>v===0?'0':Math.abs(v)>=1e5||Math.abs(v)<1e-3?v.toExponential(2):String(+v.toPrecision(4));
$('title').textContent=D.title;document.title=D.title+' - stofm';
$('subtitle').textContent='stofm '+D.version+' '+D.verb+', '+D.created;
$('stopped').hidden=D.finished;
for(const [label,value] of D.facts){const f=node('div',undefined,'fact');f.append(node('b',value),node('span',label));$('facts').append(f)}
const table=(id,rows)=>{for(const [k,v] of rows){const tr=node('tr'),th=node('th',k);th.scope='row';tr.append(th,node('td',v));$(id).append(tr)}
 if(!rows.length)$(id).append(node('caption','None.'))};
table('model',D.model);table('options',D.options);table('heldout',D.heldout);
$('heldouthint').textContent=D.hint;
for(const text of D.events)$('events').append(node('li',text));
if(!D.events.length)$('events').append(node('li','Nothing to remark.'));
$('footer').textContent='stofm '+D.version+'. This file holds its data and loads nothing.';
const colours=['#0072b2','#d55e00','#009e73','#cc79a7','#e69f00','#56b4e9'];
const css=name=>getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const draws=[];
function ticks(lo,hi,count){const raw=(hi-lo)/count||1,p=10**Math.floor(Math.log10(raw)),m=raw/p,step=(m>5?10:m>2?5:m>1?2:1)*p,out=[];
 for(let t=Math.ceil(lo/step)*step;t<=hi+step*1e-9;t+=step)out.push(Math.abs(t)<step*1e-9?0:t);return out}
for(const chart of D.charts){
 const card=node('section',undefined,'card chart');card.append(node('h2',chart.name));
 const canvas=node('canvas');canvas.setAttribute('role','img');canvas.tabIndex=0;
 canvas.setAttribute('aria-label',chart.name+' by step: '+chart.series.map(s=>s.name+' ends at '+short(s.y[s.y.length-1])).join(', '));
 const legend=node('div',undefined,'legend');
 chart.series.forEach((s,i)=>{s.colour=colours[i%6];const l=node('span'),dot=node('i');dot.style.cssText='width:14px;height:0;border-top:3px '+(s.dashed?'dashed ':'solid ')+s.colour;
  l.append(dot,document.createTextNode(s.name),node('small',short(s.y[s.y.length-1])));legend.append(l)});
 card.append(canvas,legend);$('charts').append(card);
 const log=chart.log;let box=null;
 const draw=()=>{const w=canvas.clientWidth,h=canvas.clientHeight,r=devicePixelRatio||1;canvas.width=w*r;canvas.height=h*r;
  const g=canvas.getContext('2d');g.scale(r,r);g.clearRect(0,0,w,h);g.font='12px system-ui,sans-serif';
  const f=v=>log?Math.log10(Math.max(v,1e-12)):v;let x1=1,lo=Infinity,hi=-Infinity;
  for(const s of chart.series)s.y.forEach((v,i)=>{if(v===null)return;x1=Math.max(x1,s.x[i]);lo=Math.min(lo,f(v));hi=Math.max(hi,f(v))});
  if(!(lo<=hi)){lo=0;hi=1}if(hi-lo<1e-9){hi+=.5;lo-=.5}const pad=(hi-lo)*.06;lo-=pad;hi+=pad;
  const L=58,R=w-10,T=8,B=h-24,X=v=>L+(R-L)*v/x1,Y=v=>B-(B-T)*(f(v)-lo)/(hi-lo);box={L,R,x1,X,Y};
  g.strokeStyle=css('--line');g.fillStyle=css('--soft');g.lineWidth=1;g.textAlign='right';g.textBaseline='middle';
  for(const t of ticks(lo,hi,5)){const y=B-(B-T)*(t-lo)/(hi-lo);g.beginPath();g.moveTo(L,y);g.lineTo(R,y);g.stroke();g.fillText(short(log?10**t:t),L-6,y)}
  g.textBaseline='top';for(const t of ticks(0,x1,6)){g.textAlign=X(t)>R-20?'right':'center';g.fillText(t.toLocaleString('en-US'),X(t),B+6)}
  for(const s of chart.series){g.strokeStyle=s.colour;g.lineWidth=s.thin?1:2;g.globalAlpha=s.thin?.35:1;g.setLineDash(s.dashed?[6,4]:[]);g.beginPath();let pen=false;
   s.y.forEach((v,i)=>{if(v===null){pen=false;return}const x=X(s.x[i]),y=Y(v);pen?g.lineTo(x,y):g.moveTo(x,y);pen=true});g.stroke();
   if(s.marks){g.setLineDash([]);g.fillStyle=s.colour;s.y.forEach((v,i)=>{if(v!==null){g.beginPath();g.arc(X(s.x[i]),Y(v),3,0,7);g.fill()}})}}
  g.globalAlpha=1;g.setLineDash([])};
 draws.push(draw);
 canvas.onmousemove=e=>{if(!box)return;const b=canvas.getBoundingClientRect(),at=(e.clientX-b.left-box.L)/(box.R-box.L)*box.x1;const lines=[];let step=null;
  for(const s of chart.series){let best=-1;s.x.forEach((x,i)=>{if(best<0||Math.abs(x-at)<Math.abs(s.x[best]-at))best=i});
   if(best>=0&&s.y[best]!==null){if(step===null)step=s.x[best];lines.push(s.name+': '+short(s.y[best]))}}
  const tip=$('tip');tip.textContent='step '+(step===null?'':Math.round(step))+'\n'+lines.join('\n');tip.style.display='block';
  tip.style.left=Math.min(e.clientX+14,innerWidth-220)+'px';tip.style.top=e.clientY+14+'px'};
 canvas.onmouseleave=()=>{$('tip').style.display='none'};
}
const all=()=>draws.forEach(d=>d());addEventListener('resize',all);all();
matchMedia('(prefers-color-scheme:dark)').addEventListener('change',all);
$('theme').onclick=()=>{const e=document.documentElement,dark=e.dataset.theme?e.dataset.theme==='dark':matchMedia('(prefers-color-scheme:dark)').matches;
 e.dataset.theme=dark?'light':'dark';all()};
)js";

}  // namespace stofm::program
