for m in 1 3; do for s in 1000 1500 2000; do for p in 0 4; do /tmp/w/exp/fb g $s $p $m| sort -t: -k2 -n | head -2|tail -1; done; done; done
