// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Last part of the script: the picture as PNG or SVG, selected cells as CSV, theme, and the start.

namespace stofm::program {

inline constexpr const char* task_report_save_script = R"js(
// ---- saving
function save(blob,name){const a=node('a');a.href=URL.createObjectURL(blob);a.download=name;document.body.append(a);a.click();a.remove();setTimeout(()=>URL.revokeObjectURL(a.href),60000)}
const fileName=end=>(D.title.replace(/[^A-Za-z0-9._-]+/g,'_').slice(0,60)||'stofm')+'_'+(layers.get(first)||{label:''}).label.replace(/[^A-Za-z0-9._-]+/g,'_').slice(0,40)+end;
const inLight=work=>{const r=document.documentElement,was=r.dataset.theme;r.dataset.theme='light';try{return work()}finally{if(was)r.dataset.theme=was;else delete r.dataset.theme;version++;paint()}};
// Places of everything on the picture: plots beside each other, legends below. put: text, swatch, bar, plot.
function compose(put){const shown=views.filter(v=>v.shown);let x=16,height=0;for(const v of shown){const l=v.layer();put.text(v.kind==='view'?'Embedding, 2-D view':l.label,x,24,14,true);put.plot(v,x,34);x+=v.W+16;height=Math.max(height,v.H)}
 const W=Math.max(x,400);let y=height+58;for(const l of shownLayers()){put.text(l.label,16,y,13,true);y+=20;
  if(l.kind==='score'){put.bar(16,y-10,200,12);put.text(short(l.from),16,y+18,12);put.text(short(l.to),216,y+18,12,false,'end');y+=40;continue}
  let at=16;for(let i=0;i<l.n;i++){if(!l.count[i]&&(l.kind!=='pies'||i===l.n-1))continue;let text=l.name(i);if(text.length>60)text=text.slice(0,59)+'\u2026';const wide=put.width(text)+34;if(at>16&&at+wide>W-16){at=16;y+=19}put.swatch(at,y-9,l.colour(i));put.text(text,at+16,y+1,12);at+=wide}y+=32}
 return[W,y]}
const measure=document.createElement('canvas').getContext('2d');measure.font='12px sans-serif';const widthOf=t=>measure.measureText(t).width;
function savePng(done){inLight(()=>{const q=2.5,none=()=>{};const [W,H]=compose({text:none,plot:none,bar:none,swatch:none,width:widthOf}),c=document.createElement('canvas');c.width=W*q;c.height=H*q;const g=c.getContext('2d');g.fillStyle='#fff';g.fillRect(0,0,c.width,c.height);g.scale(q,q);
 compose({width:widthOf,text:(t,x,y,s,bold,anchor)=>{g.font=(bold?'600 ':'')+s+'px sans-serif';g.textAlign=anchor==='end'?'right':'left';g.fillStyle='#1b2230';g.fillText(t,x,y)},swatch:(x,y,colour)=>{g.fillStyle=colour;g.fillRect(x,y,11,11)},
  bar:(x,y,w,h)=>{const f=g.createLinearGradient(x,0,x+w,0);stops.forEach((s,i)=>f.addColorStop(i/6,`rgb(${s.join(' ')})`));g.fillStyle=f;g.fillRect(x,y,w,h)},
  plot:(v,x,y)=>{const t=document.createElement('canvas');t.width=Math.round(v.W*q);t.height=Math.round(v.H*q);t.getContext('2d').putImageData(v.image(q),0,0);g.drawImage(t,x,y,v.W,v.H);g.save();g.beginPath();g.rect(x,y,v.W,v.H);g.clip();g.translate(x,y);
   if(v.pies())v.wedges((px,py,r,a,b,colour)=>{g.fillStyle=colour;g.beginPath();if(b-a<.998)g.moveTo(px,py);g.arc(px,py,r,a*6.28319-1.5708,b*6.28319-1.5708);g.fill()});
   v.words((text,px,py)=>{g.font='600 13px sans-serif';g.textAlign='left';g.fillStyle='#1b2230';g.fillText(text,px,py)});g.restore()}});
 c.toBlob(done||(b=>save(b,fileName('.png'))))})}
function svgText(){return inLight(()=>{const out=[],xml=t=>t.replace(/[&<>"]/g,c=>({'&':'&amp;','<':'&lt;','>':'&gt;','"':'&quot;'})[c]),f=v=>(+v.toFixed(2)).toString();
 const text=(t,x,y,s,bold,anchor)=>out.push(`<text x="${f(x)}" y="${f(y)}" font-size="${s}"${bold?' font-weight="600"':''}${anchor?` text-anchor="${anchor}"`:''} fill="#1b2230">${xml(t)}</text>`);let clips=0;
 const [W,H]=compose({width:widthOf,text,swatch:(x,y,colour)=>out.push(`<rect x="${f(x)}" y="${f(y)}" width="11" height="11" fill="${xml(colour)}"/>`),
  bar:(x,y,w,h)=>out.push(`<defs><linearGradient id="r${++clips}">${stops.map((s,i)=>`<stop offset="${f(i/6)}" stop-color="rgb(${s.join(',')})"/>`).join('')}</linearGradient></defs><rect x="${x}" y="${y}" width="${w}" height="${h}" fill="url(#r${clips})"/>`),
  plot:(v,x,y)=>{const id='c'+(++clips);out.push(`<defs><clipPath id="${id}"><rect width="${f(v.W)}" height="${f(v.H)}"/></clipPath></defs><g transform="translate(${f(x)} ${f(y)})" clip-path="url(#${id})">`);
   const l=v.layer(),mute=css('--mute');let count=0;v.visible(()=>count++);
   if(count>20000){const q=3,t=document.createElement('canvas');t.width=Math.round(v.W*q);t.height=Math.round(v.H*q);t.getContext('2d').putImageData(v.image(q),0,0);out.push(`<image width="${f(v.W)}" height="${f(v.H)}" href="${t.toDataURL('image/png')}"/>`)}
   else v.visible((i,px,py,r,want)=>{if(want||!v.pies())out.push(`<circle cx="${f(px)}" cy="${f(py)}" r="${f(want?r*.8:r)}" fill="${xml(want?mute:l.colour(l.of[i]))}"/>`)});
   if(v.pies())v.wedges((px,py,r,a,b,colour)=>{if(b-a>=.998){out.push(`<circle cx="${f(px)}" cy="${f(py)}" r="${f(r)}" fill="${xml(colour)}"/>`);return}
    const p=t=>f(px+r*Math.sin(t*6.28319))+' '+f(py-r*Math.cos(t*6.28319));out.push(`<path d="M${f(px)} ${f(py)}L${p(a)}A${f(r)} ${f(r)} 0 ${b-a>.5?1:0} 1 ${p(b)}Z" fill="${xml(colour)}"/>`)});
   v.words((t,px,py)=>text(t,px,py,13,true));out.push('</g>')}});
 return`<svg xmlns="http://www.w3.org/2000/svg" width="${f(W)}" height="${f(H)}" viewBox="0 0 ${f(W)} ${f(H)}" font-family="Helvetica,Arial,sans-serif"><rect width="100%" height="100%" fill="#fff"/>${out.join('\n')}</svg>\n`})}
function csvText(){const quote=t=>{t=String(t);if(/^[=+\-@\t\r]/.test(t))t="'"+t;return'"'+t.replace(/"/g,'""')+'"'},groups=[...layers.values()].filter(l=>l.kind==='groups').map(l=>get(l.key)),scores=shownLayers().filter(l=>l.kind==='score');
 const out=[['slice','number','cell','x','y',...groups.map(l=>l.label),...scores.map(l=>l.label)].map(quote).join(',')];
 for(let i=0;i<N;i++)if(!off[i]&&slices[S[i]].shown)out.push([quote(slices[S[i]].name),i-slices[S[i]].at,quote(cellName(i)),isFinite(X[i])?X[i]:'',isFinite(Y[i])?Y[i]:'',...groups.map(l=>l.of[i]===l.missing?'':quote(l.text(i))),...scores.map(l=>isFinite(l.value(i))?+l.value(i).toPrecision(6):'')].join(','));return out.join('\r\n')+'\r\n'}

// ---- theme and start
const redraw=()=>{version++;paint()};
$('theme').onclick=()=>{const r=document.documentElement,now=r.dataset.theme||(matchMedia('(prefers-color-scheme:dark)').matches?'dark':'light');r.dataset.theme=now==='dark'?'light':'dark';redraw()};
matchMedia('(prefers-color-scheme:dark)').addEventListener('change',redraw);
let themeBefore='';addEventListener('beforeprint',()=>{themeBefore=document.documentElement.dataset.theme||'';document.documentElement.dataset.theme='light';version++;if($('maps'))for(const v of views)if(v.shown)v.draw()});
addEventListener('afterprint',()=>{if(themeBefore)document.documentElement.dataset.theme=themeBefore;else delete document.documentElement.dataset.theme;redraw()});
for(const w of decodeURIComponent(location.hash.slice(1)).split(',')){if(w==='dark'||w==='light')document.documentElement.dataset.theme=w;else if(layers.has(w)){first=w;if(second===w)second='';nameFirst();nameSecond()}}
if($('maps')){$('png').onclick=()=>savePng();$('svg').onclick=()=>save(new Blob([svgText()],{type:'image/svg+xml'}),fileName('.svg'));$('csv').onclick=()=>save(new Blob([csvText()],{type:'text/csv'}),fileName('.csv'));frame();refresh()}
if(window.smallMaps)smallMaps();for(const draw of charts)draw();
let width=innerWidth;addEventListener('resize',()=>{if(innerWidth===width)return;width=innerWidth;if($('maps')){for(const v of views)v.drawn='';fitAll()}for(const draw of charts)draw()});
)js";

}  // namespace stofm::program
