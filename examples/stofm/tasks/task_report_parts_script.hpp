// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Script of the other parts: words, search boxes, legends, small maps, matrices, bars, curves, tables.

namespace stofm::program {

inline constexpr const char* task_report_parts_script = R"js(
// ---- words
$('title').textContent=D.title;document.title=D.title+' - stofm';$('subtitle').textContent='made by stofm '+D.version+(D.created?', '+D.created:'');
$('banner').hidden=!D.banner.length;for(const text of D.banner)$('banner').append(node('p',text));
for(const [label,value] of D.facts){const f=node('div',undefined,'fact');f.append(node('b',value),node('span',label));$('facts').append(f)}
const drop=(id,empty)=>{if(empty)$(id).remove()};
drop('facts',!D.facts.length);
function copyButton(text){const b=node('button','Copy');b.type='button';b.onclick=async()=>{let done=true;
 try{await navigator.clipboard.writeText(text)}catch{const t=node('textarea',text);document.body.append(t);t.select();done=document.execCommand('copy');t.remove()}
 b.textContent=done?'Copied':'Select and copy';setTimeout(()=>b.textContent='Copy',1500)};return b}
for(const [language,lines] of D.next){const row=node('div',undefined,'row');row.append(node('h3',language),copyButton(lines));$('next').append(row,node('pre',lines))}
drop('nextcard',!D.next.length);
for(const text of D.notices)$('notices').append(node('li',text));drop('noticecard',!D.notices.length);
for(const id of ['model','options']){for(const [k,v] of D[id]){const tr=node('tr'),th=node('th',k);th.scope='row';tr.append(th,node('td',v));$(id).append(tr)}}
drop('modelcard',!D.model.length);$('command').textContent=D.command;drop('optioncard',!D.options.length&&!D.command);
$('footer').textContent='stofm '+D.version+'. This file holds its data and loads nothing.';

// ---- search boxes
function combo(id,label,none,current,onPick){const box=$(id),input=node('input'),list=node('ul');let items=[],at=-1;
 input.type='text';input.setAttribute('role','combobox');input.setAttribute('aria-expanded','false');input.setAttribute('aria-autocomplete','list');input.setAttribute('aria-label',label);
 input.autocomplete='off';input.spellcheck=false;input.placeholder='search labels, genes, scores';list.id=id+'list';list.setAttribute('role','listbox');list.tabIndex=-1;list.hidden=true;input.setAttribute('aria-controls',list.id);box.append(input,list);
 const name=()=>{const l=layers.get(current());input.value=l?l.label:none};
 const close=()=>{list.hidden=true;input.setAttribute('aria-expanded','false');input.removeAttribute('aria-activedescendant');name()};
 const mark=k=>{at=k;items.forEach((o,i)=>o.setAttribute('aria-selected',String(i===k)));if(items[k]){input.setAttribute('aria-activedescendant',items[k].id);items[k].scrollIntoView({block:'nearest'})}};
 const open=text=>{const words=text.toLowerCase().split(/\s+/).filter(Boolean),found=[];
  for(const l of layers.values()){const t=(l.label+' '+l.heading).toLowerCase();if(words.every(w=>t.includes(w)))found.push([words.length&&l.label.toLowerCase().startsWith(words[0])?0:1,l])}
  if(words.length)found.sort((a,b)=>a[0]-b[0]);list.replaceChildren();items=[];let heading='';
  const option=(text,key)=>{const o=node('li',text);o.setAttribute('role','option');o.id=id+'o'+items.length;o.onpointerdown=e=>{e.preventDefault();onPick(key);close();input.blur()};o.pick=()=>onPick(key);items.push(o);list.append(o)};
  if(none&&!words.length)option(none,'');
  for(const [,l] of found.slice(0,300)){if(l.heading!==heading&&!words.length){heading=l.heading;const h=node('li',heading,'head');h.setAttribute('role','presentation');list.append(h)}option(l.label,l.key)}
  if(found.length>300)list.append(node('li',commas(found.length-300)+' more: type a part of the name','head'));if(!found.length)list.append(node('li','nothing of this name','head'));
  list.hidden=false;input.setAttribute('aria-expanded','true');mark(words.length?0:Math.max(0,items.findIndex(o=>o.textContent===(layers.get(current())||{}).label)))};
 input.onfocus=()=>{input.select();open('')};input.onclick=()=>{if(list.hidden)open('')};input.oninput=()=>open(input.value);input.onblur=close;
 input.onkeydown=e=>{if(e.key==='ArrowDown'||e.key==='ArrowUp'){if(list.hidden)open('');else mark((at+(e.key==='ArrowDown'?1:-1)+items.length)%(items.length||1));e.preventDefault()}
  else if(e.key==='Enter'&&!list.hidden){if(items[at])items[at].pick();close();e.preventDefault()}else if(e.key==='Escape'){close();e.stopPropagation()}};
 name();return name}
const nameFirst=combo('colour','Colour by','',()=>first,key=>turn(key,second)),nameSecond=combo('beside','Beside it','nothing',()=>second,key=>turn(first,key));
function turn(a,b){for(const l of layers.values())if(l.key!==a&&l.key!==b)l.lit.clear();const was=!!second;first=a;second=b;nameFirst();nameSecond();if(was!==!!b)frame();refresh()}

// ---- legends
function legendOf(l){const box=node('div');box.append(node('h3',l.label));if(l.note)box.append(node('p',l.note,'hint'));
 if(l.kind==='score'){const d=node('div',undefined,'ramp'),bar=node('i'),ends=[];bar.style.background='linear-gradient(90deg,'+stops.map(s=>`rgb(${s.join(' ')})`).join(',')+')';
  for(const [end,text] of [['from','lowest colour at'],['to','highest colour at']]){const i=node('input');i.type='number';i.step='any';i.value=+l[end].toPrecision(5);i.setAttribute('aria-label',text);
   i.onchange=()=>{if(i.value!==''&&isFinite(+i.value)){l[end]=+i.value;l.cut();refresh()}};ends.push(i)}
  d.append(ends[0],bar,ends[1]);if(l.high>l.to)d.append(node('span','highest '+short(l.high)));if(l.some<N)d.append(node('span',commas(N-l.some)+' missing'));
  if(picked){let sum=0,n=0;for(let i=0;i<N;i++)if(picked[i]&&l.q[i]){sum+=l.value(i);n++}if(n)d.append(node('span','mean of the selection '+short(sum/n)))}box.append(d);return box}
 const list=node('div',undefined,'legend'+(l.lit.size?' lit':''));let inside=null;if(picked){inside=new Uint32Array(l.n);for(let i=0;i<N;i++)if(picked[i])inside[l.of[i]]++}
 for(let i=0;i<l.n;i++){if(l.kind==='groups'?!l.count[i]:i===l.n-1&&!l.count[i])continue;const b=node('button'),dot=node('i');b.type='button';b.setAttribute('aria-pressed',String(l.lit.has(i)));dot.style.background=l.colour(i);b.title=l.name(i);
  const size=l.kind==='pies'&&i<l.share.length?(100*l.share[i]).toFixed(1)+' %':(inside?commas(inside[i])+' of ':'')+commas(l.count[i]);
  b.append(dot,node('span',l.name(i)),node('small',size));b.onclick=()=>{l.lit.has(i)?l.lit.delete(i):l.lit.add(i);const k=[...list.children].indexOf(b);refresh();const again=$('legends').children[shownLayers().indexOf(l)];
   const to=again&&again.querySelector('.legend').children[k];if(to)to.focus()};list.append(b)}
 box.append(list);return box}
function refresh(){shade();tip(null,-1);const ls=shownLayers();const scrolls=[...$('legends').querySelectorAll('.legend')].map(e=>e.scrollTop);$('legends').replaceChildren(...ls.map(legendOf));
 [...$('legends').querySelectorAll('.legend')].forEach((e,i)=>e.scrollTop=scrolls[i]||0);
 const lit=ls.some(l=>l.lit.size);$('choose').hidden=!picked&&!lit;let shown=0;if(picked||lit)for(let i=0;i<N;i++)if(!off[i]&&slices[S[i]].shown)shown++;
 $('selected').textContent=(pickedText?pickedText+': ':'')+commas(shown)+(shown===1?' cell':' cells')+(picked&&!pickedText?' selected':' shown');
 ls.forEach((l,k)=>{$('name'+k).textContent=l.label+(l.kind==='score'?' ('+l.heading+')':'');$('map'+k).setAttribute('aria-label','Map: one point per cell, coloured by '+l.label)});
 $('view').setAttribute('aria-label','Embedding: one point per cell in the 2-D view');for(const b of document.querySelectorAll('.small button'))b.setAttribute('aria-pressed',String(b.dataset.key===first));paint()}
function frame(){$('map0').parentElement.hidden=!hasMap;$('plot1').hidden=!hasMap||!second;$('plot2').hidden=!hasView;
 const n=[hasMap,hasMap&&second,hasView].filter(Boolean).length;$('plots').className='plots'+(n===3?' three':n===1?' one':second?' two':'')+(tool==='move'?'':' held');fitAll()}
function fitAll(){for(const v of views)if(v.shown)v.fit();const m=views.find(v=>v.space===mapSpace&&v.shown);arrange(m?m.W/m.H:1.4);if(m)mapSpace.fit(m.W,m.H);if(views[2].shown)viewSpace.fit(views[2].W,views[2].H);
 const p=panels[0];$('scale').textContent=panels.length===1?short(p.b-p.a)+' x '+short(p.d-p.c)+' ('+D.unit+')':'';version++;paint()}
if(!layers.size||!N||!(hasMap||hasView))$('maps').remove();else{
 if(several&&hasMap)slices.forEach(s=>{const b=node('button',s.name);b.type='button';b.title=s.name+', '+commas(s.n)+' cells';b.setAttribute('aria-pressed','true');
  b.onclick=()=>{s.shown=!s.shown;if(!slices.some(o=>o.shown))slices.forEach(o=>o.shown=true);[...$('shown').children].forEach((e,i)=>e.setAttribute('aria-pressed',String(slices[i].shown)));fitAll();refresh()};$('shown').append(b)});else $('shown').remove();
 $('besidelabel').hidden=!hasMap||layers.size<2;
 for(const t of ['move','lasso','box'])$(t).onclick=()=>{tool=t;for(const o of ['move','lasso','box'])$(o).setAttribute('aria-pressed',String(o===t));$('plots').classList.toggle('held',t!=='move')};
 $('clear').onclick=showAll;$('reset').onclick=fitAll;$('size').oninput=paint;addEventListener('keydown',e=>{if(e.key==='Escape')showAll()})}

// ---- one map each
{const sets=new Map();for(const l of layers.values())if(l.kind==='score'){if(!sets.has(l.heading))sets.set(l.heading,[]);sets.get(l.heading).push(l)}
 for(const [heading,list] of [...sets])if(list.length<2)sets.delete(heading);
 if(!sets.size||!hasMap)$('many').remove();else{for(const heading of sets.keys()){const o=node('option',heading);o.value=heading;$('manyof').append(o)}
  const drawSmall=(canvas,l)=>{const w=canvas.clientWidth||200,h=canvas.clientHeight||170,q=Math.min(2,window.devicePixelRatio||1),[a,b,c,d]=mapSpace.box,k=Math.min((w-8)/((b-a)||1),(h-8)/((d-c)||1));canvas.width=w*q;canvas.height=h*q;
   const image=new ImageData(canvas.width,canvas.height),out=new Uint32Array(image.data.buffer),r=Math.max(.6,.5*mapSpace.spacing*k)*q,colours=[];for(let i=0;i<l.n;i++)colours.push(number(l.colour(i)));
   for(const i of orderOf(l)){const x=mapSpace.x[i];if(x===x)disc(out,canvas.width,canvas.height,(w/2+(x-(a+b)/2)*k)*q,(h/2+(mapSpace.y[i]-(c+d)/2)*k)*q,r,colours[l.of[i]])}canvas.getContext('2d').putImageData(image,0,0)};
  const drawOne=c=>{if(c.done)return;c.done=true;watch.unobserve(c);const l=get(c.layer);drawSmall(c,l);c.nextSibling.lastChild.textContent=(Math.abs(l.from)<.005*Math.abs(l.to)?'0':three(l.from))+' to '+three(l.to)};
  addEventListener('beforeprint',()=>{for(const c of document.querySelectorAll('.small canvas'))drawOne(c)});let shownCount=24;const watch=new IntersectionObserver(es=>{for(const e of es)if(e.isIntersecting)drawOne(e.target)},{rootMargin:'300px'});
  window.smallMaps=()=>{watch.disconnect();const list=sets.get($('manyof').value)||[];$('small').replaceChildren();
   for(const l of list.slice(0,shownCount)){const b=node('button'),c=node('canvas'),t=node('div');b.type='button';b.title=l.label;b.dataset.key=l.key;b.setAttribute('aria-pressed',String(first===l.key));c.layer=l.key;
    t.append(node('span',l.label),node('small'));b.append(c,t);b.onclick=()=>{turn(l.key,second);$('maps').scrollIntoView({block:'start'})};$('small').append(b);watch.observe(c)}
   $('manyhint').textContent='Dark: low, yellow: high; each map has its own scale. Click one to see it large.'+(list.length>shownCount?' '+commas(list.length-shownCount)+' more are in the search box.':'')};
  $('manyof').onchange=smallMaps}}

// ---- matrices, bars, curves, tables
const card=(title,wide)=>{const c=node('section',undefined,'card'+(wide?' wide-card':'')),row=node('div',undefined,'row');row.append(node('h2',title));c.append(row);$('parts').append(c);return[c,row]};
const colourOfName=new Map();for(const g of D.groups)g.names.forEach((n,i)=>{if(!colourOfName.has(n))colourOfName.set(n,g.colours[i])});D.types.forEach(t=>{if(!colourOfName.has(t.name))colourOfName.set(t.name,t.colour)});
for(const m of D.matrices){const n=m.columns.length,[box,row]=card(m.title,n>14),how=node('select');for(const [v,t] of [['share','share of each row'],['count','counts']]){const o=node('option',t);o.value=v;how.append(o)}
 how.setAttribute('aria-label','Show');row.append(how);const told=node('p',undefined,'hint');box.append(told);const wrap=node('div',undefined,'scroll'),table=node('table',undefined,'matrix'+(n>16?' many':''));wrap.append(table);box.append(wrap);
 const A=layers.get('g:'+m.row_groups),B=layers.get('g:'+m.column_groups),can=A&&B;told.textContent='Rows: '+m.row_title+'. Columns: '+m.column_title+'.'+(can?' Click a number to see these cells.':'');
 const head=node('thead'),hr=node('tr');hr.append(node('th'));for(const c of m.columns){const th=node('th');th.scope='col';th.title=c;th.append(node('span',c));hr.append(th)}const all=node('th');all.append(node('span','all'));hr.append(all);head.append(hr);table.append(head);
 const body=node('tbody');table.append(body);const cells=[];
 m.rows.forEach((r,i)=>{const tr=node('tr'),th=node('th',r);th.scope='row';th.title=r;tr.append(th);let sum=0;for(let j=0;j<n;j++)sum+=m.values[i*n+j]||0;
  m.columns.forEach((c,j)=>{const td=node('td'),b=node('button'),v=m.values[i*n+j]||0;b.type='button';b.tabIndex=can?0:-1;if(r===c)b.className='same';if(can)b.classList.add('can');b.setAttribute('aria-label',r+' as '+c+': '+v);b.title=r+' as '+c+': '+commas(v)+(sum?', '+(100*v/sum).toFixed(1)+' % of the row':'');
   if(can)b.onclick=()=>{const on=b.getAttribute('aria-pressed')==='true';showAll();if(on)return;const a=get(A.key),p=get(B.key);turn(B.key,A.key);pick(k=>a.of[k]===A.names.indexOf(r)&&p.of[k]===B.names.indexOf(c),m.row_title+' '+r+', '+m.column_title+' '+c);b.setAttribute('aria-pressed','true')};
   cells.push([b,v,sum]);td.append(b);tr.append(td)});tr.append(node('td',commas(sum),'total'));body.append(tr)});
 const most=Math.max(1e-9,...cells.map(c=>c[1]));
 const fill=()=>{for(const [b,v,sum] of cells){const share=how.value==='share'?(sum?v/sum:0):v/most;b.textContent=how.value==='share'?(v?share<.005?'<1':(100*share).toFixed(0):''):v?commas(v):'';b.style.background='color-mix(in srgb,var(--accent) '+(100*Math.sqrt(share)*.9).toFixed(0)+'%,var(--plot))';b.style.color=share>.35?'var(--card)':'var(--ink)'}};
 how.onchange=fill;fill()}
for(const b of D.bars){if(!b.names.length)continue;const [box,row]=card(b.title,false),order=node('select');for(const [v,t] of [['given','as given'],['value','by value']]){const o=node('option',t);o.value=v;order.append(o)}order.setAttribute('aria-label','Order');if(b.names.length>2)row.append(order);
 const any=v=>v!==null&&v!==undefined,vs=[...b.values,...b.low,...b.high].filter(any);let lo=Math.min(0,...vs),hi=Math.max(0,...vs);if(lo>=0&&hi<=1&&hi>.2)hi=1;if(lo<0&&lo>=-1&&hi<=1&&hi>.2)hi=1;if(hi-lo<1e-12)hi=lo+1;const at=v=>100*(v-lo)/(hi-lo);
 const wrap=node('div',undefined,'scroll'),rows=node('div',undefined,'rows');wrap.append(rows);box.append(wrap);
 const fill=()=>{rows.replaceChildren();const ids=b.names.map((n,i)=>i);if(order.value==='value')ids.sort((p,q)=>(b.values[q]??-Infinity)-(b.values[p]??-Infinity));
  for(const i of ids){const v=b.values[i],who=node('span',undefined,'who'),c=colourOfName.get(b.names[i]);if(c){const dot=node('i');dot.style.background=c;who.append(dot)}who.append(node('span',b.names[i]));who.title=b.names[i];
   const track=node('div',undefined,'track whisk');if(any(v)){const f=node('div',undefined,'fill');f.style.marginLeft=at(Math.min(0,v))+'%';f.style.width=Math.abs(at(v)-at(0))+'%';track.append(f)}
   if(lo<0){const z=node('u');z.style.left=at(0)+'%';track.append(z)}
   const l=b.low[i],h=b.high[i];if(any(l)&&any(h)){const w=node('i');w.style.left=at(l)+'%';w.style.width=(at(h)-at(l))+'%';track.append(w)}
   const num=node('span',any(v)?three(v):'not measured','num');if(any(v)&&any(l)&&any(h))num.append(node('span',' ('+three(l)+' to '+three(h)+')','ends'));rows.append(who,track,num)}
  const axis=node('div',undefined,'axis');axis.append(node('span',short(lo)),node('span',b.unit),node('span',short(hi)));rows.append(node('span'),axis,node('span'))};
 order.onchange=fill;fill()}
const NS='http://www.w3.org/2000/svg',shape=(tag,at,text)=>{const e=document.createElementNS(NS,tag);for(const k in at)e.setAttribute(k,at[k]);if(text!==undefined)e.textContent=text;return e};
const lineColours=['#0072b2','#d55e00','#009e73','#cc79a7','#e69f00','#56b4e9','#8c6bb1','#b8a100'];
function ticks(lo,hi,count){const raw=(hi-lo)/count||1,p=10**Math.floor(Math.log10(raw)),m=raw/p,step=(m>5?10:m>2?5:m>1?2:1)*p,out=[];for(let t=Math.ceil(lo/step-1e-9)*step;t<=hi+step*1e-9;t+=step)out.push(Math.abs(t)<step*1e-9?0:t);return out}
const charts=[];
for(const chart of D.curves){const lines=chart.curves.filter(c=>c.x.length);if(!lines.length)continue;const [box]=card(chart.title,false);box.classList.add('chart');const svg=shape('svg',{role:'img','aria-label':chart.title+': '+lines.map(c=>c.name+' ends at '+short(c.y[c.y.length-1])).join(', ')});
 const legend=node('div',undefined,'legend');lines.forEach((c,i)=>{const s=node('span'),dot=node('i');dot.style.cssText='width:14px;height:0;border-top:3px solid '+lineColours[i%8];s.append(dot,document.createTextNode(c.name),node('small',short(c.y[c.y.length-1])));legend.append(s)});box.append(svg,legend);
 let x0=Infinity,x1=-Infinity,y0=Infinity,y1=-Infinity;for(const c of lines)c.x.forEach((x,i)=>{const y=c.y[i];if(x===null||y===null||y===undefined)return;x0=Math.min(x0,x);x1=Math.max(x1,x);y0=Math.min(y0,y);y1=Math.max(y1,y)});
 if(!(x0<=x1))x0=0,x1=1,y0=0,y1=1;if(x1-x0<1e-12)x0-=.5,x1+=.5;if(y1-y0<1e-12)y0-=.5,y1+=.5;const pad=.05*(y1-y0);y0-=pad;y1+=pad;let X,Y;
 const draw=()=>{svg.replaceChildren();const W=svg.clientWidth||500,H=270,L=62,R=W-12,T=10,B=H-40;X=v=>L+(R-L)*(v-x0)/(x1-x0);Y=v=>B-(B-T)*(v-y0)/(y1-y0);
  for(const t of ticks(y0,y1,5)){svg.append(shape('line',{x1:L,x2:R,y1:Y(t),y2:Y(t),stroke:'var(--line)'}),shape('text',{x:L-7,y:Y(t)+4,'text-anchor':'end',fill:'var(--soft)'},short(t)))}
  for(const t of ticks(x0,x1,Math.max(2,Math.floor((R-L)/75))))svg.append(shape('text',{x:X(t),y:B+16,'text-anchor':'middle',fill:'var(--soft)'},short(t)));
  svg.append(shape('text',{x:(L+R)/2,y:H-6,'text-anchor':'middle',fill:'var(--soft)'},chart.x),shape('text',{x:13,y:(T+B)/2,'text-anchor':'middle',fill:'var(--soft)',transform:`rotate(-90 13 ${(T+B)/2})`},chart.y));
  lines.forEach((c,i)=>{let d='',pen=false;c.x.forEach((x,k)=>{const y=c.y[k];if(x===null||y===null||y===undefined){pen=false;return}d+=(pen?'L':'M')+X(x).toFixed(1)+' '+Y(y).toFixed(1);pen=true});
   svg.append(shape('path',{d,fill:'none',stroke:lineColours[i%8],'stroke-width':2,'stroke-linejoin':'round'}));if(c.x.length<=40)c.x.forEach((x,k)=>{if(x!==null&&c.y[k]!==null)svg.append(shape('circle',{cx:X(x),cy:Y(c.y[k]),r:3,fill:lineColours[i%8]}))})})};
 svg.onmousemove=e=>{const r=svg.getBoundingClientRect(),at=x0+(e.clientX-r.left-62)/(r.width-74)*(x1-x0),out=[];let head='';for(const c of lines){let best=0;c.x.forEach((x,i)=>{if(Math.abs(x-at)<Math.abs(c.x[best]-at))best=i});head=head||chart.x+' '+short(c.x[best]);out.push(c.name+': '+short(c.y[best]))}
  const t=$('tip');t.replaceChildren(node('b',head),document.createTextNode(out.join('\n')));t.style.display='block';t.style.left=Math.min(e.clientX+14,innerWidth-t.offsetWidth-8)+'px';t.style.top=e.clientY+14+'px'};
 svg.onmouseleave=()=>{$('tip').style.display='none'};charts.push(draw)}
const numeric=t=>/^[-+]?[\d,]*\.?\d+([eE][-+]?\d+)?\s*%?$/.test(t.trim());
for(const t of D.tables){if(!t.rows.length)continue;const [box,row]=card(t.title,t.columns.length>6);let rows=t.rows.slice(),by=-1,up=true;const filter=node('input',undefined,'filter');filter.placeholder='filter rows';filter.setAttribute('aria-label','Filter rows of '+t.title);
 const plain=v=>String(v??'').replace(/[\t\n]/g,' ');if(t.rows.length>15)row.append(filter);row.append(copyButton([t.columns,...t.rows].map(r=>r.map(plain).join('\t')).join('\n')));
 const wrap=node('div',undefined,'scroll'),table=node('table',undefined,'grid'),head=node('thead'),hr=node('tr'),body=node('tbody');wrap.append(table);box.append(wrap);head.append(hr);table.append(head,body);
 const right=t.columns.map((c,j)=>{const filled=t.rows.map(r=>r[j]??'').filter(v=>v!==''&&v!=='-');return filled.length>0&&filled.filter(numeric).length>=.8*filled.length});
 t.columns.forEach((c,j)=>{const th=node('th',undefined,right[j]?'num':''),b=node('button',c);b.type='button';b.title='sort by '+c;th.scope='col';th.append(b);b.onclick=()=>{up=by===j?!up:!right[j];by=j;
   const v=r=>right[j]?parseFloat((r[j]??'').replace(/[,%]/g,'')):r[j]??'';rows=t.rows.slice().sort((p,q)=>{const a=v(p),d=v(q);if(right[j]){const x=isNaN(a),y=isNaN(d);return x||y?x-y:(a-d)*(up?1:-1)}return a.localeCompare(d,undefined,{numeric:true})*(up?1:-1)});
   [...hr.children].forEach((e,k)=>k===j?e.setAttribute('aria-sort',up?'ascending':'descending'):e.removeAttribute('aria-sort'));fill()};hr.append(th)});
 const fill=()=>{body.replaceChildren();const w=filter.value.toLowerCase();for(const r of rows.filter(r=>!w||r.some(v=>v.toLowerCase().includes(w))).slice(0,2000)){const tr=node('tr');t.columns.forEach((c,j)=>{const text=r[j]??'',e=j?node('td',text,right[j]?'num':''):node('th',text);if(!j)e.scope='row';tr.append(e)});body.append(tr)}};
 filter.oninput=fill;fill()}
if(D.matrices.length&&$('many'))$('parts').after($('many'));if(!$('parts').children.length)$('parts').remove();
)js";

}  // namespace stofm::program
