// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The script of the report: decodes the arrays, draws both views on canvases, links hover and selection.
/// All text from the slice goes through textContent, never through markup.

namespace stofm::program {

/// What all reports' scripts begin with: the data, elements, colours.
inline constexpr const char* report_base_script = R"js(
'use strict';
const D=JSON.parse(document.getElementById('data').textContent);
const $=id=>document.getElementById(id);
const node=(tag,text,cls)=>{const e=document.createElement(tag);if(text!==undefined)e.textContent=text;if(cls)e.className=cls;return e};
function bytes(text){const s=atob(text),b=new Uint8Array(s.length);for(let i=0;i<s.length;i++)b[i]=s.charCodeAt(i);return b.buffer}
const commas=n=>n.toLocaleString('en-US');
const stops=[[0,32,77],[44,60,108],[87,92,109],[124,123,120],[165,156,116],[209,191,95],[255,234,70]]; // cividis: even for every eye
function ramp(t){t=Math.min(0.9999,Math.max(0,t))*6;const i=Math.floor(t),f=t-i,a=stops[i],b=stops[i+1];return hex(a.map((v,k)=>v+f*(b[k]-v)))}
const hex=v=>'#'+v.map(t=>Math.round(t).toString(16).padStart(2,'0')).join('');
const number=text=>{const v=parseInt(text.slice(1,7),16);return (255<<24|(v&255)<<16|(v>>8&255)<<8|v>>16)>>>0}; // #rrggbb as a pixel
const css=name=>getComputedStyle(document.documentElement).getPropertyValue(name).trim();
)js";

inline constexpr const char* report_script = R"js(
const F=k=>new Float32Array(bytes(D.arrays[k]||''));
const wide={u1:Uint8Array,u2:Uint16Array,u4:Uint32Array};
const I=k=>{const a=D.arrays[k];if(!a)return new Int32Array(0);return Int32Array.from(new wide[a[0]](bytes(a[1])),v=>v-1)}; // -1: missing
const X=F('x'),Y=F('y'),P=F('pc1'),Q=F('pc2'),VX=F('virtual_x'),VY=F('virtual_y'),N=X.length;

// ---- words and tables
$('title').textContent=D.title;$('subtitle').textContent='embedded by stofm '+D.version+', '+D.created;
document.title=D.title+' - stofm';
$('banner').hidden=!D.banner.length;for(const text of D.banner)$('banner').append(node('p',text));
for(const [language,lines] of D.next){if(language)$('next').append(node('h3',language));$('next').append(node('pre',lines))}
for(const [label,value] of D.facts){const f=node('div',undefined,'fact');f.append(node('b',value),node('span',label));$('facts').append(f)}
const table=(id,rows)=>{for(const [k,v] of rows){const tr=node('tr');const th=node('th',k);th.scope='row';tr.append(th,node('td',v));$(id).append(tr)}};
table('source',D.source);table('model',D.model);table('options',D.options);
{const top=Math.max(1e-9,...D.stages.map(s=>s[1])),sum=D.stages.reduce((a,s)=>a+s[1],0)||1;
 for(const [name,t] of D.stages){const track=node('div',undefined,'track'),fill=node('div',undefined,'fill');
  fill.style.width=(100*t/top)+'%';track.append(fill);
  $('stages').append(node('span',name),track,node('span',(t<10?t.toFixed(2):t.toFixed(0))+' s  '+(100*t/sum).toFixed(0)+' %','num'))}
 if(!D.stages.length)$('stages').append(node('span','not measured'))}
{const shades=['#0072b2','#56b4e9','#e69f00','#999999','#cc79a7','#d55e00'];let sum=0;for(const c of D.coverage)sum+=c[1];
 D.coverage.forEach((c,i)=>{if(!c[1])return;const part=node('div');part.style.width=(100*c[1]/sum)+'%';part.style.background=shades[i%6];part.title=c[0]+': '+commas(c[1]);$('stack').append(part);
  const tr=node('tr'),th=node('th');const dot=node('i');dot.style.cssText='display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:7px;background:'+shades[i%6];
  th.scope='row';th.append(dot,document.createTextNode(c[0]));tr.append(th,node('td',commas(c[1])+'  ('+(100*c[1]/sum).toFixed(1)+' %)'));$('coverage').append(tr)});
 $('stack').setAttribute('aria-label',D.coverage.map(c=>c[0]+' '+c[1]).join(', '));
 if(D.unmatched.length)$('unmatched').textContent='Not found, for example: '+D.unmatched.join(', ')}
for(const text of D.notices)$('notices').append(node('li',text));
if(!D.notices.length)$('notices').append(node('li','Nothing to remark.'));
if(!D.coverage.length)$('stack').parentElement.hidden=true;
$('footer').textContent='stofm '+D.version+'. This file holds its data and loads nothing.';

// ---- colours
const category=i=>D.palette[i%D.palette.length];
const bins=24,modes={};
for(const m of D.groups){const of=I(m.key);if(of.length!==N||!N)continue;let n=m.names.length;for(const v of of)if(v>=n)n=v+1;
 const missing=of.includes(-1);const count=new Array(n+(missing?1:0)).fill(0);if(missing)for(let i=0;i<N;i++)if(of[i]<0)of[i]=n; // the last group
 for(const v of of)count[v]++;
 const name=i=>i===n?'missing':m.names.length?m.names[i]:m.prefix+' '+i;
 modes[m.key]={label:m.label,heading:m.heading,note:m.note,of,n:count.length,count,colour:i=>i===n?'#b4bac4':m.colours[i]||category(i),name,value:i=>(m.names.length?m.label+': ':'')+name(of[i])}}
{const g=I('genes');if(g.length===N&&N){let lo=Infinity,hi=-Infinity;for(const v of g){if(v<lo)lo=v;if(v>hi)hi=v}
 const of=new Int32Array(N),w=Math.max(1,hi-lo);for(let i=0;i<N;i++)of[i]=Math.min(bins-1,Math.floor(bins*(g[i]-lo)/w));
 modes.genes={label:'genes per cell',heading:'How it was computed',note:'Genes with a count in each cell, of those in the file.',of,n:bins,lo,hi,ramp:true,colour:i=>ramp((i+.5)/bins),value:i=>g[i]+' genes'}}}
{const boxes={};for(const k in modes){const h=modes[k].heading;if(!boxes[h]){boxes[h]=node('optgroup');boxes[h].label=h;$('colour').append(boxes[h])}
 const o=node('option',modes[k].label);o.value=k;boxes[h].append(o)}}
let mode=Object.keys(modes)[0],alone=-1,picked=null,pickedCount=0,pickedAt=0,hover=-1;
const order={};
function groups(key){if(order[key])return order[key];const m=modes[key],start=new Int32Array(m.n+1);for(const v of m.of)start[v+1]++;
 for(let i=0;i<m.n;i++)start[i+1]+=start[i];const at=start.slice(),list=new Int32Array(N);for(let i=0;i<N;i++)list[at[m.of[i]]++]=i;return order[key]={start,list}}

// ---- libraries side by side: each in a panel of its own, never on top of each other
const L=I('library'),VL=I('virtual_library'),many=D.libraries.length>1&&L.length===N;
const panels=[];let DX=X,DY=Y;
if(many){for(const name of D.libraries)panels.push({name,low:[Infinity,Infinity],high:[-Infinity,-Infinity],cells:0});
 for(let i=0;i<N;i++){const p=panels[L[i]];if(!p)continue;p.cells++;p.low=[Math.min(p.low[0],X[i]),Math.min(p.low[1],Y[i])];p.high=[Math.max(p.high[0],X[i]),Math.max(p.high[1],Y[i])]}
 const shown=panels.filter(p=>p.cells),size=p=>Math.max(p.high[0]-p.low[0],p.high[1]-p.low[1])||1;
 const sizes=shown.map(size),apart=Math.max(...sizes)/Math.min(...sizes)>3;let w=0,h=0; // very unlike extents: each fills its panel
 for(const p of shown){p.scale=apart?1/size(p):1;w=Math.max(w,(p.high[0]-p.low[0])*p.scale);h=Math.max(h,(p.high[1]-p.low[1])*p.scale)}
 w=w||1;h=h||1;const gap=.1*Math.max(w,h);let columns=1,best=0;
 for(let c=shown.length;c>0;c--){const r=Math.ceil(shown.length/c),k=Math.min(1.45/(c*(w+gap)),1/(r*(h+1.6*gap)));if(k>best*1.2){best=k;columns=c}} // rows of slices, rather than columns
 shown.forEach((p,i)=>{const ox=(i%columns)*(w+gap)+(w-(p.high[0]-p.low[0])*p.scale)/2,oy=Math.floor(i/columns)*(h+1.6*gap);
  p.x=v=>ox+(v-p.low[0])*p.scale;p.y=v=>oy+(v-p.low[1])*p.scale;p.at=[ox,oy,ox+(p.high[0]-p.low[0])*p.scale,oy+(p.high[1]-p.low[1])*p.scale]});
 DX=new Float32Array(N);DY=new Float32Array(N);for(let i=0;i<N;i++){DX[i]=panels[L[i]].x(X[i]);DY[i]=panels[L[i]].y(Y[i])}}
const whole={low:[Infinity,Infinity],high:[-Infinity,-Infinity],x:v=>v,y:v=>v};
if(!many)for(let i=0;i<N;i++){whole.low=[Math.min(whole.low[0],X[i]),Math.min(whole.low[1],Y[i])];whole.high=[Math.max(whole.high[0],X[i]),Math.max(whole.high[1],Y[i])]}
const panelOf=i=>many?panels[i]:whole;

// ---- views
class View{
 constructor(id,x,y,flip){this.c=$(id);this.g=this.c.getContext('2d');this.x=x;this.y=y;this.flip=flip;
  let a=Infinity,b=-Infinity,c=Infinity,d=-Infinity;for(let i=0;i<x.length;i++){if(x[i]<a)a=x[i];if(x[i]>b)b=x[i];if(y[i]<c)c=y[i];if(y[i]>d)d=y[i]}
  if(!x.length)a=b=c=d=0;this.box=[a,b,c,d];this.index();this.reset();this.listen()}
 index(){const [a,b,c,d]=this.box,n=Math.max(1,Math.ceil(Math.sqrt(this.x.length/4)));this.n=n;this.w=(b-a)/n||1;this.h=(d-c)/n||1;this.cells=new Map();
  for(let i=0;i<this.x.length;i++){const k=this.key(this.x[i],this.y[i]);const l=this.cells.get(k);if(l)l.push(i);else this.cells.set(k,[i])}}
 col(x){return Math.min(this.n-1,Math.max(0,Math.floor((x-this.box[0])/this.w)))}
 row(y){return Math.min(this.n-1,Math.max(0,Math.floor((y-this.box[2])/this.h)))}
 key(x,y){return this.col(x)*this.n+this.row(y)}
 fit(){const r=this.c.getBoundingClientRect(),q=window.devicePixelRatio||1;this.W=r.width||600;this.H=r.height||500;this.c.width=Math.round(this.W*q);this.c.height=Math.round(this.H*q);this.q=q}
 reset(){this.fit();const [a,b,c,d]=this.box,sx=(this.W-56)/((b-a)||1),sy=(this.H-64)/((d-c)||1);this.k=Math.min(sx,sy);if(b-a===0&&d-c===0)this.k=1;this.cx=(a+b)/2;this.cy=(c+d)/2}
 px(x){return this.W/2+(x-this.cx)*this.k}
 py(y){return this.H/2+(this.flip?-1:1)*(y-this.cy)*this.k}
 ux(p){return this.cx+(p-this.W/2)/this.k}
 uy(p){return this.cy+(this.flip?-1:1)*(p-this.H/2)/this.k}
 radius(){const [a,b,c,d]=this.box,area=Math.max((b-a)*(d-c),1e-12),spacing=Math.sqrt(area/Math.max(1,this.x.length))*this.k;
  return Math.min(9,Math.max(.8,(this.flip?.3:.42)*spacing))*Math.pow(1.15,+$('size').value)}
 near(p,q){const x=this.ux(p),y=this.uy(q),r=14/this.k;let best=-1,bd=r*r;
  for(let i=this.col(x-r);i<=this.col(x+r);i++)for(let j=this.row(y-r);j<=this.row(y+r);j++)for(const t of this.cells.get(i*this.n+j)||[]){const dx=this.x[t]-x,dy=this.y[t]-y,e=dx*dx+dy*dy;if(e<bd){bd=e;best=t}}return best}
 pixels(m,r,dim,mute){const now=[this.cx,this.cy,this.k,this.W,this.H,this.q,r,mode,alone,mute,pickedAt].join();
  if(now===this.drawn){this.g.putImageData(this.image,0,0);return} // only the ring has moved
  const s=Math.max(1,Math.round(2*r*this.q)),W=this.c.width,H=this.c.height,image=this.g.createImageData(W,H),out=new Uint32Array(image.data.buffer);
  const q=this.q,colours=[];for(let k=0;k<m.n;k++)colours.push(number(m.colour(k)));
  let step=Math.floor(N*.618)|1;const common=(a,b)=>b?common(b,a%b):a;while(common(step,N)>1)step+=2; // any group may come last
  for(const want of alone>=0||picked?[true,false]:[false])for(let j=0,i=0;j<N;j++,i=(i+step)%N){if(dim(i)!==want)continue;
   const x=Math.round(this.px(this.x[i])*q-s/2),y=Math.round(this.py(this.y[i])*q-s/2);if(x<0||y<0||x+s>W||y+s>H)continue;
   const colour=want?number(mute):colours[m.of[i]];for(let b=y;b<y+s;b++)for(let a=x;a<x+s;a++)out[b*W+a]=colour}
  this.image=image;this.drawn=now;this.g.putImageData(image,0,0)}
 draw(){const g=this.g;g.setTransform(this.q,0,0,this.q,0,0);g.clearRect(0,0,this.W,this.H);if(!N||!this.x.length)return;
  const m=modes[mode],{start,list}=groups(mode),r=this.radius(),mute=css('--mute'),dim=i=>(alone>=0&&m.of[i]!==alone)||(picked!==null&&!picked[i]);
  if(r<1.6)this.pixels(m,r,dim,mute);else{
  const pass=(want,paint)=>{for(let k=0;k<m.n;k++){g.fillStyle=paint(k);let any=false;g.beginPath();
   for(let t=start[k];t<start[k+1];t++){const i=list[t];if(dim(i)!==want)continue;const x=this.px(this.x[i]),y=this.py(this.y[i]);
    if(x<-10||y<-10||x>this.W+10||y>this.H+10)continue;
    g.moveTo(x+r,y);g.arc(x,y,r,0,6.2832);any=true}
   if(any)g.fill()}};
  if(alone>=0||picked){g.globalAlpha=.55;pass(true,()=>mute);g.globalAlpha=1}
  g.globalAlpha=this.flip?.8:.92;pass(false,m.colour);g.globalAlpha=1}
  if(!this.flip)this.extras();
  if(hover>=0){g.strokeStyle=css('--ring');g.lineWidth=2;g.beginPath();g.arc(this.px(this.x[hover]),this.py(this.y[hover]),Math.max(6,r+3),0,6.2832);g.stroke()}
  if(this.lasso&&this.lasso.length>1){g.strokeStyle=css('--accent');g.lineWidth=1.5;g.setLineDash([5,4]);g.beginPath();this.lasso.forEach((p,i)=>i?g.lineTo(p[0],p[1]):g.moveTo(p[0],p[1]));g.closePath();g.stroke();g.setLineDash([])}}
 extras(){const g=this.g;
  if(many)for(const p of panels)if(p.cells){const [x0,y0,x1]=p.at,room=(x1-x0)*this.k+30;g.font='600 14px system-ui,sans-serif';let name=p.name;
   while(name.length>4&&g.measureText(name).width>room)name=name.slice(0,-2)+'\u2026';
   const tx=this.px(x0),ty=this.py(y0)-9;g.lineWidth=4;g.strokeStyle=css('--plot');g.strokeText(name,tx,ty);g.fillStyle=css('--ink');g.fillText(name,tx,ty)}
  if($('showgrid').checked){for(const [shade,wide,dash] of [[css('--plot'),3.5,[]],[css('--ring'),1,[]]]){g.strokeStyle=shade;g.lineWidth=wide;g.setLineDash(dash);for(const [[a,b,e,f],l] of D.grid){const p=panelOf(l);if(!p||!p.x)continue;const c=Math.min(e,p.high[0]),d=Math.min(f,p.high[1]);g.strokeRect(this.px(p.x(a)),this.py(p.y(b)),(p.x(c)-p.x(a))*this.k,(p.y(d)-p.y(b))*this.k)}}g.setLineDash([])}
  if($('showvirtual').checked){for(let i=0;i<VX.length;i++){const p=panelOf(VL.length?VL[i]:0);if(!p||!p.x)continue;const x=this.px(p.x(VX[i])),y=this.py(p.y(VY[i])),s=7,off=alone>=0&&mode==='macro'&&alone!==i;g.globalAlpha=off?.25:1;
   g.beginPath();g.moveTo(x,y-s);g.lineTo(x+s,y);g.lineTo(x,y+s);g.lineTo(x-s,y);g.closePath();g.fillStyle=category(i);g.fill();g.lineWidth=3.5;g.strokeStyle=css('--plot');g.stroke();g.lineWidth=1.6;g.strokeStyle=css('--ring');g.stroke();g.globalAlpha=1}}}
 listen(){const c=this.c;let drag=null;
  const at=e=>{const r=c.getBoundingClientRect();return[e.clientX-r.left,e.clientY-r.top]};
  c.addEventListener('wheel',e=>{e.preventDefault();const [p,q]=at(e),x=this.ux(p),y=this.uy(q),f=Math.exp(-e.deltaY*.0015);this.k*=f;this.cx=x-(p-this.W/2)/this.k;this.cy=y-(this.flip?-1:1)*(q-this.H/2)/this.k;paint()},{passive:false});
  c.addEventListener('pointerdown',e=>{c.setPointerCapture(e.pointerId);drag=at(e);this.lasso=e.shiftKey?[drag]:null});
  c.addEventListener('pointermove',e=>{const p=at(e);if(drag&&this.lasso){this.lasso.push(p);paint();return}
   if(drag){this.cx-=(p[0]-drag[0])/this.k;this.cy-=(this.flip?-1:1)*(p[1]-drag[1])/this.k;drag=p;paint();return}
   const h=this.near(p[0],p[1]);if(h!==hover){hover=h;paint()}tip(e,h)});
  c.addEventListener('pointerup',()=>{if(this.lasso)choose(this,this.lasso);drag=this.lasso=null;paint()});
  c.addEventListener('pointerleave',()=>{if(!drag){hover=-1;tip(null,-1);paint()}});
  c.addEventListener('keydown',e=>{const step=40/this.k,f=this.flip?-1:1,move={ArrowLeft:[-step,0],ArrowRight:[step,0],ArrowUp:[0,-step*f],ArrowDown:[0,step*f]}[e.key];
   if(move){this.cx+=move[0];this.cy+=move[1]}else if(e.key==='+'||e.key==='=')this.k*=1.25;else if(e.key==='-')this.k/=1.25;else return;e.preventDefault();paint()})}
}
const views=[new View('slice',DX,DY,false),new View('pca',P,Q,true)];
let waiting=false;
function paint(){if(waiting)return;waiting=true;requestAnimationFrame(()=>{waiting=false;views.forEach(v=>v.draw())})}
const rows=I('rows');
function tip(e,i){const t=$('tip');if(!e||i<0){t.style.display='none';return}
 const row='row '+commas(rows.length?rows[i]:i)+' of the file',m=modes[mode],others=Object.values(modes).filter(o=>o!==m).map(o=>o.value(i));
 t.replaceChildren(node('b',m?m.value(i):''),document.createTextNode([(D.names[i]?'cell '+D.names[i]+', ':'')+row,...others,'x '+X[i].toFixed(1)+', y '+Y[i].toFixed(1)+' (unit of the file)'].join('\n')));
 t.style.display='block';const r=t.getBoundingClientRect();t.style.left=Math.min(innerWidth-r.width-8,e.clientX+14)+'px';t.style.top=Math.min(innerHeight-r.height-8,e.clientY+14)+'px'}
function choose(view,line){if(line.length<3)return;picked=new Uint8Array(N);pickedCount=0;
 for(let i=0;i<N;i++){const x=view.px(view.x[i]),y=view.py(view.y[i]);let inside=false;for(let a=0,b=line.length-1;a<line.length;b=a++){const [xa,ya]=line[a],[xb,yb]=line[b];if((ya>y)!==(yb>y)&&x<(xb-xa)*(y-ya)/(yb-ya)+xa)inside=!inside}if(inside){picked[i]=1;pickedCount++}}
 if(!pickedCount)picked=null;said();legend()}
function said(){pickedAt++;$('selected').textContent=picked?commas(pickedCount)+' cells selected':'';$('clear').hidden=!picked}
function legend(){const m=modes[mode],box=$('legend');box.replaceChildren();$('note').textContent=m?m.note:'';if(!m)return;
 if(m.ramp){const d=node('div',undefined,'ramp'),bar=node('i');bar.style.background='linear-gradient(90deg,'+stops.map(s=>`rgb(${s.join(' ')})`).join(',')+')';d.append(node('span',m.lo),bar,node('span',m.hi+' genes'));box.append(d);return}
 let inSelection=null;if(picked){inSelection=new Int32Array(m.n);for(let i=0;i<N;i++)if(picked[i])inSelection[m.of[i]]++}
 for(let i=0;i<m.n;i++){if(!m.count[i])continue;const b=node('button'),dot=node('i');b.type='button';b.setAttribute('aria-pressed',String(alone===i));dot.style.background=m.colour(i);
  b.title=m.name(i);b.append(dot,node('span',m.name(i)),node('small',(inSelection?commas(inSelection[i])+' of ':'')+commas(m.count[i])));
  b.addEventListener('click',()=>{alone=alone===i?-1:i;legend();paint()});box.append(b)}
}
function turn(to){mode=to;alone=-1;if(mode==='piece')$('showgrid').checked=true;if(mode==='macro')$('showvirtual').checked=true}
$('colour').addEventListener('change',e=>{turn(e.target.value);legend();paint()});
for(const id of ['showgrid','showvirtual','size'])$(id).addEventListener('input',paint);
$('clear').addEventListener('click',()=>{picked=null;said();legend();paint()});
$('reset').addEventListener('click',()=>{views.forEach(v=>v.reset());paint()});
$('theme').addEventListener('click',()=>{const r=document.documentElement,now=r.dataset.theme||(matchMedia('(prefers-color-scheme:dark)').matches?'dark':'light');r.dataset.theme=now==='dark'?'light':'dark';paint()});
matchMedia('(prefers-color-scheme:dark)').addEventListener('change',paint);
addEventListener('resize',()=>{views.forEach(v=>v.reset());paint()});
{const w=whole,size=v=>v>=1000?commas(Math.round(v)):v.toPrecision(4).replace(/\.?0+$/,'');$('scale').textContent=many?D.libraries.length+' slices side by side':N?size(w.high[0]-w.low[0])+' x '+size(w.high[1]-w.low[1])+' in the unit of the file':'';
 const v=D.explained.map(e=>(100*e).toFixed(1)+' %');$('pcaaxes').textContent=P.length?'PC1 '+v[0]+', PC2 '+v[1]:'no embeddings'}
if(many)for(const e of document.querySelectorAll('.plot .name'))if(e.textContent==='Slice')e.hidden=true;
if(!D.grid.length)$('showgrid').parentElement.hidden=true;
if(!VX.length)$('showvirtual').parentElement.hidden=true;
if(location.hash){const wanted=location.hash.slice(1).split(',');for(const w of wanted){if(modes[w]){turn(w);$('colour').value=w}if(w==='grid')$('showgrid').checked=true;if(w==='virtual')$('showvirtual').checked=true;if(w==='dark'||w==='light')document.documentElement.dataset.theme=w}}
legend();paint();
)js";

}  // namespace stofm::program
