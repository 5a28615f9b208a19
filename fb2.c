#include "/tmp/w/images/pyx/include/kernels.h"
#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <pthread.h>
#pragma GCC target("avx2,fma,prfchw")
#define ISA avx2
#include "/tmp/w/images/pyx/simd/avx2.h"
static inline __m256i narrow_u8(__m256i a, __m256i b, __m256i c, __m256i d)
{
    const __m256i bytes = _mm256_packus_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}
#define INLINE static inline __attribute__((always_inline))
#define ND_JOIN_(name, type, isa) name##_##type##_##isa
#define ND_JOIN(name, type, isa) ND_JOIN_(name, type, isa)
#define NAME(name) ND_JOIN(name, TNAME, ISA)
#define T float
#define TNAME f32
#define TSIZE 4
#include "/tmp/w/images/pyx/simd/gnu.h"
#include "/tmp/w/images/pyx/kernels/separable.h"
#include "/tmp/w/images/pyx/kernels/image.h"
#include "/tmp/w/images/pyx/kernels/undefine.h"
#define INTEGER
#define T int16_t
#define TNAME i16
#define TSIZE 2
#include "/tmp/w/images/pyx/simd/gnu.h"
#include "/tmp/w/images/pyx/kernels/separable.h"
#include "/tmp/w/images/pyx/kernels/image.h"
#include "/tmp/w/images/pyx/kernels/undefine.h"

static inline __m256i rnd(const float*p){ __m256 v=_mm256_loadu_ps(p); v=_mm256_and_ps(v,_mm256_cmp_ps(v,_mm256_setzero_ps(),_CMP_GT_OQ)); v=_mm256_min_ps(v,_mm256_set1_ps(255)); v=_mm256_add_ps(v,_mm256_set1_ps(0x1p23f)); return _mm256_sub_epi32((__m256i)v,(__m256i)_mm256_set1_ps(0x1p23f)); }
static void store2(uint8_t*to,const float*f,long n){ long i=0; for(;i+32<=n;i+=32) _mm256_storeu_si256((__m256i*)(to+i), narrow_u8(rnd(f+i),rnd(f+i+8),rnd(f+i+16),rnd(f+i+24))); for(;i<n;i++) to[i]=f[i]; }
static void store2nt(uint8_t*to,const float*f,long n){ long i=0; for(;i+32<=n;i+=32) _mm256_stream_si256((__m256i*)(to+i), narrow_u8(rnd(f+i),rnd(f+i+8),rnd(f+i+16),rnd(f+i+24))); for(;i<n;i++) to[i]=f[i]; }
#define LD(o) _mm256_loadu_ps
static void pass2(float*to,const float*a,const float*b,const float*u,int count,long unit,long n)
{ /* b = a shifted by 8 floats: b[i] == a[i+8] at address = a's phase */
  for(long i=0;i+64<=n;i+=64){ __m256 s0=_mm256_setzero_ps(),s1=s0,s2=s0,s3=s0,s4=s0,s5=s0,s6=s0,s7=s0;
    for(int t=0;t<count;t++){ long o=i+t*unit; int odd=(o&15)>8; /* crossing if offset%16 floats > 8 */
      const float*e = odd? b+o-8 : a+o;   /* even vectors */
      const float*f = odd? a+o+8 : b+o;   /* odd vectors: o+8 */
      __m256 w=_mm256_broadcast_ss(u+t);
      s0=_mm256_fmadd_ps(w,_mm256_loadu_ps(e),s0); s1=_mm256_fmadd_ps(w,_mm256_loadu_ps(f),s1);
      s2=_mm256_fmadd_ps(w,_mm256_loadu_ps(e+16),s2); s3=_mm256_fmadd_ps(w,_mm256_loadu_ps(f+16),s3);
      s4=_mm256_fmadd_ps(w,_mm256_loadu_ps(e+32),s4); s5=_mm256_fmadd_ps(w,_mm256_loadu_ps(f+32),s5);
      s6=_mm256_fmadd_ps(w,_mm256_loadu_ps(e+48),s6); s7=_mm256_fmadd_ps(w,_mm256_loadu_ps(f+48),s7); }
    _mm256_storeu_ps(to+i,s0);_mm256_storeu_ps(to+i+8,s1);_mm256_storeu_ps(to+i+16,s2);_mm256_storeu_ps(to+i+24,s3);
    _mm256_storeu_ps(to+i+32,s4);_mm256_storeu_ps(to+i+40,s5);_mm256_storeu_ps(to+i+48,s6);_mm256_storeu_ps(to+i+56,s7); } }
enum { H=3000, W=4000, C=3, N=W*C };
static uint8_t *x, *y;
static double now(){struct timespec t;clock_gettime(CLOCK_MONOTONIC,&t);return t.tv_sec+1e-9*t.tv_nsec;}
static double tl, ts, tp, tw;
static long strip=4000, pf=0, mode=0;
static void sobel(int r0, int r1){
  const int KH=3, R=6; static const int16_t u[6]={-1,-2,-1,1,2,1};
  long n=strip, pitch=(n+6+31)/32*32; 
  int16_t *ring=aligned_alloc(64,R*pitch*2), *out=aligned_alloc(64,4*pitch*2);
  for(long c=0;c+n<=N;c+=n){
    long done=r0;
    for(int r=r0;r+4<=r1;r+=4){
      double t0=now();
      while(done<r+4+KH-1){ int row=done<H?done:H-1; const uint8_t*p=x+(long)row*N+c;
        if(pf) for(long i=0;i<n;i+=64) __builtin_prefetch(p+pf*(long)N+i);
        image_load_i16_avx2(ring+done%R*pitch, p, n+6<N-c?n+6:N-c,1,ND_U8,0); done++; }
      double t1=now();
      const void*rows[12]; int t=0;
      for(int q=0;q<2;q++)for(int j=0;j<6;j++) rows[t++]=ring+(r+j)%R*pitch+q*6;
      void*to[4]; for(int j=0;j<4;j++)to[j]=out+j*pitch;
      sum_rows_i16_avx2(to,4,rows,u,2,3,n,0);
      double t2=now();
      for(int j=0;j<4;j++) { if(mode&8) for(long i=0;i<n;i+=64) __builtin_prefetch(y+(long)(r+j+4)*N+c+i,1); image_store_i16_avx2(y+(long)(r+j)*N+c,1,out+j*pitch,n,ND_U8);}
      double t3=now(); tl+=t1-t0; ts+=t2-t1; tw+=t3-t2;
    }
  }
  free(ring);free(out);
}
static void gauss(int r0,int r1){
  const int KH=19, R=22; float u[19]; for(int i=0;i<19;i++)u[i]=1.f/19;
  long n=strip, pitch=(n+64+15)/16*16;
  float*ring=aligned_alloc(64,R*pitch*4),*out=aligned_alloc(64,4*pitch*4),*line=aligned_alloc(64,pitch*4+1024),*line2=aligned_alloc(64,pitch*4+1024);
  for(long c=0;c+n<=N;c+=n){
    long done=r0;
    for(int r=r0;r+4<=r1;r+=4){
      double t0=now();
      while(done<r+4+KH-1){ int row=done<H?done:H-1; const uint8_t*p=x+(long)row*N+c;
        if(pf) for(long i=0;i<n;i+=64) __builtin_prefetch(p+pf*(long)N+i);
        image_load_f32_avx2(line,p,n+54<N-c?n+54:N-c,1,ND_U8,0);
        double t4=now();
        const void*rows[19]; for(int s=0;s<19;s++)rows[s]=line+s*3; void*to=ring+done%R*pitch;
        if(mode&2){ memcpy(line2-8+8,line+8,(n+54)*4); pass2(to,line,line2,u,19,3,n);} else sum_rows_f32_avx2(&to,1,rows,u,1,19,n,0); done++; tp+=now()-t4; }
      double t1=now();
      const void*rows[22]; for(int j=0;j<22;j++) rows[j]=ring+(r+j)%R*pitch;
      void*to[4]; for(int j=0;j<4;j++)to[j]=out+j*pitch;
      sum_rows_f32_avx2(to,4,rows,u,1,19,n,0);
      double t2=now();
      for(int j=0;j<4;j++) { if(mode&8) for(long i=0;i<n;i+=64) __builtin_prefetch(y+(long)(r+j+4)*N+c+i,1); (mode&1?store2(y+(long)(r+j)*N+c,out+j*pitch,n):mode&4?store2nt(y+(long)(r+j)*N+c,out+j*pitch,n):image_store_f32_avx2(y+(long)(r+j)*N+c,1,out+j*pitch,n,ND_U8));}
      double t3=now(); tl+=t1-t0; ts+=t2-t1; tw+=t3-t2;
    }
  }
}
int main(int ac,char**av){
  x=aligned_alloc(4096,(long)H*N+4096); y=aligned_alloc(4096,(long)H*N+4096);
  for(long i=0;i<(long)H*N;i++) x[i]=i*7+(i>>9); memset(y,1,(long)H*N);
  strip=atoi(av[2]); pf=atoi(av[3]); mode=ac>4?atoi(av[4]):0;
  for(int k=0;k<9;k++){ tl=ts=tp=tw=0; double t=now(); av[1][0]=='s'?sobel(0,H):gauss(0,H); t=now()-t;
   printf("mode %ld %s strip %ld pf %ld: %.2f ms: load %.2f (pass %.2f) sum %.2f store %.2f\n",mode,av[1],strip,pf,t*1e3,(tl-tp)*1e3,tp*1e3,ts*1e3,tw*1e3);}
}
