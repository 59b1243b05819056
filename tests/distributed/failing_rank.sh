#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# failing_rank.sh throw|kill MPIRUN...: rank 1 fails in the middle of training. The job must end soon, fail, and say
# which rank it was.
what=$1
shift
out=$(timeout 60 "$@" "$what" 2>&1)
code=$?
echo "$out"
case $code in
  0) echo "the job ended as if nothing had happened"; exit 1 ;;
  124) echo "the other ranks waited for ever"; exit 1 ;;
esac
if [ "$what" = throw ]; then
  grep -q 'rank 1 of 3 failed and ends the job: slice "x"' <<<"$out" || { echo "rank 1 or its error is not named"; exit 1; }
else
  grep -qiE 'rank 1|process rank 1|signal 9|KILLED' <<<"$out" || { echo "rank 1 is not named"; exit 1; }
fi
