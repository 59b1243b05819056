// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Script of the maps: decodes the arrays, draws maps and 2-D view, links hover, selection and legends. Text
/// of files goes through textContent, never through markup.

namespace stofm::program {

inline constexpr const char* task_report_maps_script = R"js(
// ---- arrays: [width, count, base64 of a zlib stream], low bytes first, then the next ones (RFC 1950, 1951)
function inflate(s,size){
 const out=new Uint8Array(size);let at=2,to=0,hold=0,held=0;
 const bits=n=>{while(held<n){hold|=s[at++]<<held;held+=8}const v=hold&((1<<n)-1);hold>>>=n;held-=n;return v};
 const table=l=>{const count=new Uint16Array(16),next=new Uint16Array(16);let max=1,code=0;for(const v of l){count[v]++;if(v>max)max=v}count[0]=0;
  for(let b=1;b<16;b++){code=(code+count[b-1])<<1;next[b]=code}const t=new Uint16Array(1<<max);
  for(let i=0;i<l.length;i++){const v=l[i];if(!v)continue;let c=next[v]++,r=0;for(let b=0;b<v;b++){r=r<<1|c&1;c>>=1}for(;r<t.length;r+=1<<v)t[r]=i<<4|v}return{t,max,last:t.length-1}};
 const symbol=h=>{while(held<h.max){hold|=s[at++]<<held;held+=8}const e=h.t[hold&h.last];hold>>>=e&15;held-=e&15;return e>>4};
 const base=(n,first,step)=>{const b=[];let v=first;for(let i=0;i<n;i++){const x=step(i);b.push([v,x]);v+=1<<x}return b};
 const lengths=base(28,3,i=>i<8?0:(i>>2)-1);lengths[28]=[258,0];const far=base(30,1,i=>i<4?0:(i>>1)-1);
 for(let last=0;!last;){last=bits(1);const kind=bits(2);
  if(kind===0){at-=held>>3;hold=held=0;const n=s[at]|s[at+1]<<8;at+=4;out.set(s.subarray(at,at+n),to);at+=n;to+=n;continue}
  let lit,dist;
  if(kind===1){const l=new Uint8Array(288);l.fill(8);l.fill(9,144,256);l.fill(7,256,280);lit=table(l);dist=table(new Uint8Array(30).fill(5))}
  else{const a=bits(5)+257,b=bits(5)+1,c=bits(4)+4,order=[16,17,18,0,8,7,9,6,10,5,11,4,12,3,13,2,14,1,15],l=new Uint8Array(19);
   for(let i=0;i<c;i++)l[order[i]]=bits(3);const h=table(l),all=new Uint8Array(a+b);
   for(let i=0;i<a+b;){const v=symbol(h);if(v<16)all[i++]=v;else{let n=v===16?3+bits(2):v===17?3+bits(3):11+bits(7);const p=v===16?all[i-1]:0;while(n--)all[i++]=p}}
   lit=table(all.subarray(0,a));dist=table(all.subarray(a))}
  for(;;){const v=symbol(lit);if(v<256){out[to++]=v;continue}if(v===256)break;
   const [l0,lx]=lengths[v-257],n=l0+bits(lx),[d0,dx]=far[symbol(dist)],d=d0+bits(dx);for(let i=0;i<n;i++,to++)out[to]=out[to-d]}}
 return out}
function unpack(a){const [w,n,t]=a,b=inflate(new Uint8Array(bytes(t)),w*n);if(w===1)return b;
 const out=new (w===2?Uint16Array:Uint32Array)(n);for(let p=0;p<w;p++)for(let i=0;i<n;i++)out[i]|=b[p*n+i]<<8*p;return out}

// ---- cells: all slices, one after the other
const slices=D.slices;let N=0;for(const s of slices){s.at=N;N+=s.n;s.shown=true}
const S=new Uint16Array(N),X=new Float32Array(N).fill(NaN),Y=X.slice(),VX=X.slice(),VY=X.slice();
slices.forEach((s,k)=>{S.fill(k,s.at,s.at+s.n);
 for(const [to,a] of [[X,s.x],[Y,s.y],[VX,s.vx],[VY,s.vy]])if(a){const q=unpack(a[2]);for(let i=0;i<s.n;i++)if(q[i])to[s.at+i]=a[0]+(q[i]-1)*a[1]}});
const hasMap=slices.some(s=>s.x),hasView=slices.some(s=>s.vx),several=slices.length>1;
const cellName=i=>{const s=slices[S[i]];if(s.names&&!s.list)s.list=new TextDecoder().decode(unpack(s.names)).split('\n');return s.list?s.list[i-s.at]||'':''};
const short=v=>v===null||!isFinite(v)?'missing':v===0?'0':Math.abs(v)>=1e6||Math.abs(v)<1e-3?v.toExponential(2):Math.abs(v)>=1e4?commas(Math.round(v)):String(+v.toPrecision(4));

const three=v=>v===null||!isFinite(v)?'missing':Math.abs(v)>=1e3||v!==0&&Math.abs(v)<1e-3?short(v):String(+v.toPrecision(3));
// ---- layers: what cells can be coloured by, decoded when first shown
const layers=new Map(),bins=64,grey='#b4bac4';
function groupLayer(g){const l={key:'g:'+g.key,label:g.label||g.key,heading:'labels',kind:'groups',note:g.note,names:g.names,lit:new Set()};
 l.make=()=>{l.of=new Int32Array(N);let n=g.names.length;const codes=g.codes.map(unpack);
  slices.forEach((s,k)=>{for(let i=0;i<s.n;i++){const v=codes[k][i]-1;if(v>=n)n=v+1;l.of[s.at+i]=v}});
  let missing=false;for(let i=0;i<N;i++)if(l.of[i]<0){l.of[i]=n;missing=true}
  l.n=n+(missing?1:0);l.missing=missing?n:-1;l.count=new Uint32Array(l.n);for(const v of l.of)l.count[v]++;
  l.name=i=>i===l.missing?'missing':g.names[i]??'group '+i;l.colour=i=>i===l.missing?grey:g.colours[i]||grey;l.text=i=>l.name(l.of[i])};return l}
function scoreLayer(key,label,heading,s){const l={key,label,heading,kind:'score',note:'',lit:new Set()};
 l.make=()=>{l.q=new Uint16Array(N);slices.forEach((c,k)=>l.q.set(unpack(s.values[k]),c.at));
  const count=new Uint32Array(65536);let some=0,top=0,seen=0;for(const v of l.q)if(v){count[v]++;some++;if(v>top)top=v}
  let cut=top;while(cut>1&&seen+count[cut]<=some*.005)seen+=count[cut--];
  l.low=s.low;l.high=s.low+Math.max(0,top-1)*s.step;l.from=s.low;l.to=top-cut>.25*top?s.low+(cut-1)*s.step:l.high; // a long tail would leave the rest dark
  l.value=i=>l.q[i]?s.low+(l.q[i]-1)*s.step:NaN;l.text=i=>short(l.value(i));l.n=bins+1;l.of=new Uint8Array(N);l.some=some;
  l.cut=()=>{const w=bins/(l.to-l.from||1),a=s.step*w,b=(s.low-l.from)*w-a;for(let i=0;i<N;i++){const q=l.q[i];l.of[i]=q?Math.min(bins-1,Math.max(0,Math.floor(q*a+b+1e-9))):bins}l.order=null;
   l.count=new Uint32Array(l.n);for(const v of l.of)l.count[v]++};l.cut();
  l.colour=i=>i===bins?grey:ramp((i+.5)/bins);l.name=i=>i};return l}
function pieLayer(){const l={key:'p:',label:'all types (pies)',heading:'proportions',kind:'pies',note:'Each spot is a pie of its types; where spots are too small for pies, the largest share.',names:D.types.map(t=>t.name),lit:new Set()};
 l.make=()=>{const T=D.types.length,parts=D.types.map((t,k)=>get('p:'+k));l.n=T+1;l.missing=T;l.of=new Int32Array(N);l.share=new Float32Array(T);let some=0;
  for(let i=0;i<N;i++){let best=-1,at=T;for(let k=0;k<T;k++){const v=parts[k].value(i);if(v>best){best=v;at=k}}l.of[i]=at;if(at<T){some++;for(let k=0;k<T;k++)l.share[k]+=parts[k].value(i)||0}}
  for(let k=0;k<T;k++)l.share[k]/=some||1;l.count=new Uint32Array(l.n);for(const v of l.of)l.count[v]++;l.part=(i,k)=>parts[k].value(i);
  l.name=i=>i===T?'missing':D.types[i].name;l.colour=i=>i===T?grey:D.types[i].colour;
  l.text=i=>l.of[i]===T?'missing':D.types.map((t,k)=>[t.name,l.part(i,k)]).sort((a,b)=>b[1]-a[1]).slice(0,6).filter(p=>p[1]>=.005).map(p=>p[0]+' '+(100*p[1]).toFixed(0)+' %').join('\n')};return l}
for(const g of D.groups){const l=groupLayer(g);while(layers.has(l.key))l.key+="'";layers.set(l.key,l)}
if(D.types.length){const l=pieLayer();layers.set(l.key,l);D.types.forEach((t,k)=>layers.set('p:'+k,scoreLayer('p:'+k,t.name,'proportions',t)))}
D.scores.forEach((s,k)=>layers.set('s:'+k,scoreLayer('s:'+k,s.label||s.key,s.group||'scores',s)));
function get(key){const l=layers.get(key);if(l&&!l.made){l.made=true;l.make()}return l}
const perm=new Int32Array(N);{let step=Math.floor(N*.618)|1;const common=(a,b)=>b?common(b,a%b):a;while(N&&common(step,N)>1)step+=2;for(let j=0,i=0;j<N;j++,i=(i+step)%N)perm[j]=i} // any group may come last
function orderOf(l){if(l.kind!=='score')return perm;if(l.order)return l.order;const start=new Uint32Array(l.n+2),rank=v=>v===bins?0:v+1; // missing, then low to high
 for(const v of l.of)start[rank(v)+1]++;for(let i=0;i<=l.n;i++)start[i+1]+=start[i];l.order=new Int32Array(N);for(const i of perm)l.order[start[rank(l.of[i])]++]=i;return l.order}

let first=(D.types.length?'p:':layers.keys().next().value)||'',second=D.beside&&layers.has('g:'+D.beside)&&'g:'+D.beside!==first?'g:'+D.beside:'';
let picked=null,pickedCount=0,pickedText='',hover=-1,tool='move',version=0;
const off=new Uint8Array(N); // 1: drawn as background
const shownLayers=()=>[first,second].filter(Boolean).map(get);
function shade(){version++;const ls=shownLayers().filter(l=>l.lit.size&&l.kind==='groups');
 for(let i=0;i<N;i++){let o=picked&&!picked[i]?1:0;for(const l of ls)if(!l.lit.has(l.of[i]))o=1;off[i]=o}}

// ---- places: slices side by side, with an index for hover
class Space{
 constructor(flip){this.flip=flip;this.k=1;this.cx=this.cy=0;this.x=new Float32Array(N);this.y=new Float32Array(N)}
 set(place){let a=Infinity,b=-Infinity,c=Infinity,d=-Infinity;this.count=0;for(let i=0;i<N;i++){place(i,this);const x=this.x[i],y=this.y[i];
   if(!(isFinite(x)&&isFinite(y))){this.x[i]=NaN;continue}this.count++;if(x<a)a=x;if(x>b)b=x;if(y<c)c=y;if(y>d)d=y}
  if(!this.count)a=b=c=d=0;this.box=[a,b,c,d];const n=this.n=Math.max(1,Math.ceil(Math.sqrt(this.count/4)));this.w=(b-a)/n||1;this.h=(d-c)/n||1;
  const start=this.start=new Int32Array(n*n+1);for(let i=0;i<N;i++)if(this.x[i]===this.x[i])start[this.cell(this.x[i],this.y[i])+1]++;
  for(let i=0;i<n*n;i++)start[i+1]+=start[i];const at=start.slice();this.list=new Int32Array(this.count);
  for(let i=0;i<N;i++)if(this.x[i]===this.x[i])this.list[at[this.cell(this.x[i],this.y[i])]++]=i;
  let used=0;for(let i=0;i<n*n;i++)if(start[i+1]>start[i])used++;this.spacing=b>a&&d>c?Math.sqrt(used*this.w*this.h/Math.max(1,this.count)):Math.max(b-a,d-c)/Math.max(1,this.count)||1}
 col(x){return Math.min(this.n-1,Math.max(0,Math.floor((x-this.box[0])/this.w)))}
 row(y){return Math.min(this.n-1,Math.max(0,Math.floor((y-this.box[2])/this.h)))}
 cell(x,y){return this.col(x)*this.n+this.row(y)}
 fit(W,H){const [a,b,c,d]=this.box;this.k=Math.min((W-40)/((b-a)||1),(H-(this.flip?60:panels.length>1?88:72))/((d-c)||1));if(!(b>a)&&!(d>c))this.k=1;this.cx=(a+b)/2;this.cy=(c+d)/2-(this.flip?0:(panels.length>1?18:8)/this.k)}
 near(x,y,r){let best=-1,bd=r*r;for(let i=this.col(x-r);i<=this.col(x+r);i++)for(let t=this.start[i*this.n+this.row(y-r)],e=this.start[i*this.n+this.row(y+r)+1];t<e;t++){
   const j=this.list[t],dx=this.x[j]-x,dy=this.y[j]-y,q=dx*dx+dy*dy;if(q<bd){bd=q;best=j}}return best}
}
const mapSpace=new Space(false),viewSpace=new Space(true);let panels=[];
function arrange(aspect){panels=[];slices.forEach((s,k)=>{if(!s.shown||!s.x)return;let a=Infinity,b=-Infinity,c=Infinity,d=-Infinity;
  for(let i=s.at;i<s.at+s.n;i++){if(X[i]<a)a=X[i];if(X[i]>b)b=X[i];if(Y[i]<c)c=Y[i];if(Y[i]>d)d=Y[i]}if(a<=b)panels.push({k,name:s.name,a,b,c,d})});
 const size=p=>Math.max(p.b-p.a,p.d-p.c)||1,sizes=panels.map(size),apart=Math.max(...sizes)/Math.min(...sizes)>3;let w=0,h=0; // very unlike extents: each fills its panel
 for(const p of panels){p.s=apart?1/size(p):1;w=Math.max(w,(p.b-p.a)*p.s);h=Math.max(h,(p.d-p.c)*p.s)}w=w||1;h=h||1;
 const gap=.06*Math.max(w,h),head=panels.length>1?.1*Math.max(w,h):0;let columns=1,best=0;
 for(let c=panels.length;c>0;c--){const r=Math.ceil(panels.length/c),k=Math.min(aspect/(c*(w+gap)),1/(r*(h+gap+head)));if(k>best*1.02){best=k;columns=c}}
 const of=[];panels.forEach((p,i)=>{p.ox=(i%columns)*(w+gap)+(w-(p.b-p.a)*p.s)/2;p.oy=Math.floor(i/columns)*(h+gap+head);p.w=w;of[p.k]=p});
 mapSpace.set((i,m)=>{const p=of[S[i]];m.x[i]=p?p.ox+(X[i]-p.a)*p.s:NaN;m.y[i]=p?p.oy+(Y[i]-p.c)*p.s:NaN});
 viewSpace.set((i,m)=>{const shown=slices[S[i]].shown;m.x[i]=shown?VX[i]:NaN;m.y[i]=VY[i]})}

// ---- drawing: discs with soft edges into an image
const stamps=new Map();
function stamp(r,fx,fy){const key=Math.round(r*8)*16+fx*4+fy;let s=stamps.get(key);if(s)return s;const e=Math.ceil(r+1),cx=fx/4,cy=fy/4;s=[];
 for(let y=-e;y<=e+1;y++)for(let x=-e;x<=e+1;x++){const d=Math.hypot(x+.5-cx,y+.5-cy),c=Math.min(1,Math.max(0,r-d+.5))*Math.min(1,r*1.6);if(c>.02)s.push(x,y,Math.round(c*255))}
 s=Int16Array.from(s);stamps.set(key,s);if(stamps.size>600)stamps.delete(stamps.keys().next().value);return s}
function disc(out,W,H,x,y,r,colour){const ix=Math.floor(x),iy=Math.floor(y),s=stamp(r,Math.floor((x-ix)*4),Math.floor((y-iy)*4));
 for(let t=0;t<s.length;t+=3){const px=ix+s[t],py=iy+s[t+1];if(px<0||py<0||px>=W||py>=H)continue;const at=py*W+px,c=s[t+2],was=out[at];
  if(c>=250||!was){out[at]=c>=250?colour:(colour&0xffffff|c<<24)>>>0;continue}
  const k=c/255,mix=sh=>((was>>>sh&255)*(1-k)+(colour>>>sh&255)*k)&255;out[at]=(Math.max(was>>>24,c)<<24|mix(16)<<16|mix(8)<<8|mix(0))>>>0}}
class View{
 constructor(canvas,space,which,kind){this.c=canvas;this.space=space;this.which=which;this.kind=kind;this.g=canvas.getContext('2d');this.listen()}
 get shown(){return this.c.parentElement.hidden===false}
 layer(){return get(this.which()?second:first)}
 fit(){const q=window.devicePixelRatio||1;this.W=this.c.clientWidth||600;this.H=this.c.clientHeight||400;this.c.width=Math.round(this.W*q);this.c.height=Math.round(this.H*q);this.q=q;this.drawn=''}
 px(x){return this.W/2+(x-this.space.cx)*this.space.k}
 py(y){return this.H/2+(this.space.flip?-1:1)*(y-this.space.cy)*this.space.k}
 ux(p){return this.space.cx+(p-this.W/2)/this.space.k}
 uy(p){return this.space.cy+(this.space.flip?-1:1)*(p-this.H/2)/this.space.k}
 radius(){return Math.min(this.space.flip?4:16,Math.max(this.space.count>40000?.55:.8,(this.space.flip?.4:.55)*this.space.spacing*this.space.k))*Math.pow(1.15,+$('size').value)}
 pies(){const l=this.layer();return l&&l.kind==='pies'&&!this.space.flip&&this.radius()>=3.5&&this.space.count<=20000}
 visible(visit){const s=this.space,r=this.radius()+2,l=this.layer();for(const want of [1,0])for(const i of orderOf(l)){if(off[i]!==want||s.x[i]!==s.x[i])continue;
   const x=this.px(s.x[i]),y=this.py(s.y[i]);if(x<-r||y<-r||x>this.W+r||y>this.H+r)continue;visit(i,x,y,r-2,want)}}
 image(q){const W=Math.round(this.W*q),H=Math.round(this.H*q),image=new ImageData(W,H),out=new Uint32Array(image.data.buffer),l=this.layer(),colours=new Uint32Array(l.n);
  for(let k=0;k<l.n;k++)colours[k]=number(l.colour(k));const mute=number(css('--mute')),pies=this.pies();
  const sp=this.space,xs=sp.x,ys=sp.y,of=l.of,order=orderOf(l),kx=sp.k*q,ky=(sp.flip?-1:1)*kx,ox=W/2-sp.cx*kx,oy=H/2-sp.cy*ky,R=this.radius()*q,some=picked||shownLayers().some(m=>m.lit.size&&m.kind==='groups');
  for(let want=1;want>=0;want--){if(!want&&pies)break;const r=want?R*.8:some?R*1.25:R,plain=r<1.1,side=plain?Math.max(1,Math.round(1.9*r)):0,h=side/2;
   for(let j=0;j<N;j++){const i=order[j];if(off[i]!==want)continue;const x=xs[i]*kx+ox,y=ys[i]*ky+oy;if(!(x>=-r&&y>=-r&&x<=W+r&&y<=H+r))continue;const colour=want?mute:colours[of[i]];
    if(!plain){disc(out,W,H,x,y,r,colour);continue}
    const x0=Math.round(x-h),y0=Math.round(y-h);if(x0<0||y0<0||x0+side>W||y0+side>H)continue;for(let b=y0;b<y0+side;b++)for(let a=x0;a<x0+side;a++)out[b*W+a]=colour}}
  return image}
 wedges(draw){const l=this.layer(),T=D.types.length,mute=css('--mute');this.visible((i,x,y,r,want)=>{if(want)return;if(l.of[i]===T){draw(x,y,r,0,1,grey);return}
  let sum=0,at=0;for(let k=0;k<T;k++)sum+=l.part(i,k)||0;for(let k=0;k<T;k++){const v=(l.part(i,k)||0)/(sum||1);if(v<=.002)continue;draw(x,y,r,at,at+v,l.lit.size&&!l.lit.has(k)?mute:l.colour(k));at+=v}})}
 draw(){const g=this.g,l=this.layer();g.setTransform(1,0,0,1,0,0);if(!l||!N){g.clearRect(0,0,this.c.width,this.c.height);return}
  const s=this.space,now=[s.cx,s.cy,s.k,this.W,this.H,this.q,l.key,version,$('size').value,css('--mute')].join();
  if(now!==this.drawn){this.drawn=now;this.saved=null;
   g.putImageData(this.image(this.q),0,0);
   if(this.pies()){g.setTransform(this.q,0,0,this.q,0,0);this.wedges((x,y,r,a,b,colour)=>{g.fillStyle=colour;g.beginPath();if(b-a<.998)g.moveTo(x,y);g.arc(x,y,r,a*6.28319-1.5708,b*6.28319-1.5708);g.fill()})}
   this.saved=document.createElement('canvas');this.saved.width=this.c.width;this.saved.height=this.c.height;this.saved.getContext('2d').drawImage(this.c,0,0)
  }else{g.clearRect(0,0,this.c.width,this.c.height);g.drawImage(this.saved,0,0)}
  g.setTransform(this.q,0,0,this.q,0,0);this.words((text,x,y)=>{g.font='600 13px system-ui,sans-serif';g.lineWidth=4;g.lineJoin='round';g.strokeStyle=css('--plot');g.strokeText(text,x,y);g.fillStyle=css('--ink');g.fillText(text,x,y)});
  if(hover>=0&&s.x[hover]===s.x[hover]){g.strokeStyle=css('--ring');g.lineWidth=2;g.beginPath();g.arc(this.px(s.x[hover]),this.py(s.y[hover]),Math.max(6,this.radius()+3),0,6.2832);g.stroke()}
  if(this.line&&this.line.length>1){g.strokeStyle=css('--accent');g.lineWidth=1.5;g.setLineDash([5,4]);g.beginPath();this.line.forEach((p,i)=>i?g.lineTo(p[0],p[1]):g.moveTo(p[0],p[1]));g.closePath();g.stroke();g.setLineDash([])}}
 words(draw){if(this.space.flip||panels.length<2)return;this.g.font='600 13px system-ui,sans-serif';for(const p of panels){let text=p.name;const x=this.px(p.ox+(p.b-p.a)*p.s/2-p.w/2),room=p.w*this.space.k+10;
  while(text.length>4&&this.g.measureText(text).width>room)text=text.slice(0,-2)+'\u2026';draw(text,Math.max(x,4),this.py(p.oy)-8)}}
 listen(){const c=this.c,down=new Map();let start=null,last=null,apart=0;
  const at=e=>{const r=c.getBoundingClientRect();return[e.clientX-r.left,e.clientY-r.top]},s=this.space;
  const zoom=(p,q,f)=>{const x=this.ux(p),y=this.uy(q);s.k*=f;s.cx=x-(p-this.W/2)/s.k;s.cy=y-(s.flip?-1:1)*(q-this.H/2)/s.k};
  c.addEventListener('wheel',e=>{e.preventDefault();const [p,q]=at(e);zoom(p,q,Math.exp(-e.deltaY*.0015));paint()},{passive:false});
  c.addEventListener('pointerdown',e=>{if(e.button)return;try{c.setPointerCapture(e.pointerId)}catch{}down.set(e.pointerId,at(e));start=last=at(e);apart=0;
   const how=e.shiftKey&&tool==='move'?'lasso':tool;this.line=how==='lasso'&&down.size===1?[start]:null;this.frame=how==='box'&&down.size===1?start:null});
  c.addEventListener('pointermove',e=>{const p=at(e);if(down.has(e.pointerId))down.set(e.pointerId,p);
   if(down.size===2){this.line=this.frame=null;const [a,b]=[...down.values()],d=Math.hypot(a[0]-b[0],a[1]-b[1]);if(apart)zoom((a[0]+b[0])/2,(a[1]+b[1])/2,d/apart);apart=d;last=null;paint();return}
   if(this.frame&&down.size){const f=this.frame;this.line=[f,[p[0],f[1]],p,[f[0],p[1]]];paint();return}
   if(this.line){this.line.push(p);paint();return}
   if(down.size&&last){s.cx-=(p[0]-last[0])/s.k;s.cy-=(s.flip?-1:1)*(p[1]-last[1])/s.k;last=p;paint();return}
   const r=Math.max(12,this.radius())/s.k,h=s.near(this.ux(p[0]),this.uy(p[1]),r);if(h!==hover){hover=h;paint()}tip(e,h)});
  const up=e=>{down.delete(e.pointerId);if(this.line&&this.line.length>2&&e.type==='pointerup')choose(this,this.line);this.line=this.frame=null;last=null;paint()};
  c.addEventListener('pointerup',up);c.addEventListener('pointercancel',up);
  c.addEventListener('pointerleave',()=>{if(!down.size){hover=-1;tip(null,-1);paint()}});
  c.addEventListener('keydown',e=>{const step=40/s.k,f=s.flip?-1:1,move={ArrowLeft:[-step,0],ArrowRight:[step,0],ArrowUp:[0,-step*f],ArrowDown:[0,step*f]}[e.key];
   if(move){s.cx+=move[0];s.cy+=move[1]}else if(e.key==='+'||e.key==='=')zoom(this.W/2,this.H/2,1.25);else if(e.key==='-')zoom(this.W/2,this.H/2,.8);else return;e.preventDefault();paint()})}
}
const views=[new View($('map0'),mapSpace,()=>0,'map'),new View($('map1'),mapSpace,()=>1,'map'),new View($('view'),viewSpace,()=>0,'view')];
let waiting=false;
function paint(){if(waiting)return;waiting=true;requestAnimationFrame(()=>{waiting=false;for(const v of views)if(v.shown)v.draw()})}
function tip(e,i){const t=$('tip');if(!e||i<0){t.style.display='none';return}const lines=[],a=shownLayers();
 if(several)lines.push(slices[S[i]].name);lines.push((cellName(i)?'cell '+cellName(i)+', ':'')+'number '+commas(i-slices[S[i]].at));
 for(const l of a)lines.push(l.label+(l.kind==='pies'?':\n':': ')+l.text(i));
 for(const l of [...layers.values()].filter(l=>l.kind==='groups'&&!a.includes(l)).slice(0,5))lines.push(get(l.key).label+': '+l.text(i));
 if(isFinite(X[i]))lines.push('x '+short(X[i])+', y '+short(Y[i]));
 t.replaceChildren(node('b',a.length&&a[0].kind!=='pies'?a[0].text(i):''),document.createTextNode(lines.join('\n')));
 t.style.display='block';const r=t.getBoundingClientRect();t.style.left=Math.max(4,Math.min(innerWidth-r.width-8,e.clientX+14))+'px';t.style.top=Math.max(4,Math.min(innerHeight-r.height-8,e.clientY+14))+'px'}
function pick(test,text){picked=new Uint8Array(N);pickedCount=0;for(let i=0;i<N;i++)if(slices[S[i]].shown&&test(i)){picked[i]=1;pickedCount++}pickedText=text;if(!pickedCount&&!text)picked=null;refresh()}
function choose(view,line){const s=view.space;let a=Infinity,b=-Infinity,c=Infinity,d=-Infinity;for(const [p,q] of line){a=Math.min(a,p);b=Math.max(b,p);c=Math.min(c,q);d=Math.max(d,q)}
 pick(i=>{if(s.x[i]!==s.x[i])return false;const x=view.px(s.x[i]),y=view.py(s.y[i]);if(x<a||x>b||y<c||y>d)return false;
  let inside=false;for(let m=0,n=line.length-1;m<line.length;n=m++){const [xa,ya]=line[m],[xb,yb]=line[n];if((ya>y)!==(yb>y)&&x<(xb-xa)*(y-ya)/(yb-ya)+xa)inside=!inside}return inside},'')}
function showAll(){picked=null;pickedText='';for(const l of layers.values())l.lit.clear();for(const b of document.querySelectorAll('.matrix [aria-pressed=true]'))b.setAttribute('aria-pressed','false');refresh()}
)js";

}  // namespace stofm::program
