cd /tmp/w/images
srcs="tests/check.c $(ls tests/check_*.c | grep -v wide)"
for t in avx2; do gcc -O1 -std=gnu11 -ffp-contract=fast -fno-math-errno -Wno-psabi -I pyx/include -DTABLE=nd_kernels_$t $srcs pyx/isa/$t.c -lm -o /tmp/w/exp/check_$t 2>&1 | grep -E "error|warning: .*(image|separable)" | head; /tmp/w/exp/check_$t; done
