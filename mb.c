#define main main2
#include "fb.c"
#undef main
int main(){ float*a=aligned_alloc(64,1<<16),*b=aligned_alloc(64,1<<16),*to=aligned_alloc(64,1<<16); memset(a,0,1<<16);memset(b,0,1<<16); float u[19]={0};
 for(int rep=0;rep<3;rep++) for(int unit=1;unit<=16;unit++){ double t=now(); for(int k=0;k<3000;k++) pass2(to,a,b,u,19,unit,1536); t=now()-t;
   double t2=now(); const void*rows[19]; for(int s=0;s<19;s++)rows[s]=a+s*unit; void*tt=to; for(int k=0;k<3000;k++) sum_rows_f32_avx2(&tt,1,rows,u,1,19,1536,0); t2=now()-t2;
   if(rep==2&&(unit<5||unit>=8)) printf("unit %d: pass2 %.3f cycles/vec-tap, sum_rows %.3f\n",unit,t*2.87e9/(3000.*19*192),t2*2.87e9/(3000.*19*192)); } }
