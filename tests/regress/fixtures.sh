#!/usr/bin/env bash
# The data sets that the tests load. usage: fixtures.sh FOLDER PRIZE_SAMPLE
set -euo pipefail
sample=$2
mkdir -p "$1"
cd "$1"

# tiny: each kind of line once. One file has Windows line ends, one has no newline at its end, one title is in Latin-1.
mkdir -p tiny/training_set
printf '1,2003,The Silent Harbour\n2,1999,Knight, Day, and the Caf\xe9\n3,NULL,Untitled Voyage\n4,2004,Nobody Saw It\n' >tiny/movie_titles.csv
printf '1:\n7,5,2004-02-29\n42,3,2005-09-06\n1000,4,2003-01-02\n' >tiny/training_set/mv_0000001.txt
printf '2:\r\n42,4,2005-09-07\r\n7,1,2004-03-01\r\n' >tiny/training_set/mv_0000002.txt
printf '3:\n1000,2,2005-12-31\n2649429,5,1999-11-11' >tiny/training_set/mv_0000003.txt
printf '1:\n42\n3:\n1000\n' >tiny/probe.txt
printf '2:\n1000,2005-12-01\n4:\n8,2005-12-02\n' >tiny/qualifying.txt

# combined: the same ratings in Kaggle's layout.
mkdir -p combined
cp tiny/movie_titles.csv tiny/probe.txt tiny/qualifying.txt combined/
printf '1:\n7,5,2004-02-29\n42,3,2005-09-06\n1000,4,2003-01-02\n2:\n42,4,2005-09-07\n7,1,2004-03-01\n' >combined/combined_data_1.txt
printf '3:\n1000,2,2005-12-31\n2649429,5,1999-11-11\n' >combined/combined_data_2.txt

# more: a later delivery. New ratings and old ones, a new customer, a movie without a title, and a longer probe.
mkdir -p more
printf '2:\n42,1,2000-01-01\n1000,3,2005-10-10\n5:\n9,4,2005-11-11\n' >more/combined_data_1.txt
printf '1:\n42\n2:\n42\n1000\n4:\n42\n' >more/probe.txt

# titles: a title for the movie that had none, and a corrected title.
mkdir -p titles
printf '5,2005,At Last a Title\n1,2003,The Silent Harbor\n' >titles/movie_titles.txt
printf '5:\n9,4,2005-11-11\n' >titles/combined_data_1.txt

# judging: answers to the qualifying set, in the folder where Netflix's archive has them. judging.step: a line is missing.
# judging.later: no ratings. judging.alone: neither ratings nor the qualifying set.
mkdir -p judging/grand_prize judging.step judging.later judging.alone
printf '1:\n7,5,2004-02-29\n42,3,2005-09-06\n' | tee judging/combined_data_1.txt >judging.step/combined_data_1.txt
printf '1:\n1000,2005-12-01\n9,2005-12-03\n2:\n8,2005-12-02\n' | tee judging/qualifying.txt judging.step/qualifying.txt >judging.later/qualifying.txt
printf '1:\n3,0\n5,1\n2:\n1,1\n' | tee judging/grand_prize/judging.txt judging.later/judging.txt >judging.alone/judging.txt
printf '1:\n3,0\n2:\n1,1\n' >judging.step/judging.txt

# titles.*: titles files that a spreadsheet and a data frame have saved; two titles files; more unreadable years than
# max_rejects allows for ratings; and a tab in a title.
mkdir -p titles.sheet titles.frame titles.two titles.years titles.tab
for folder in titles.*; do printf '1:\n7,5,2004-02-29\n' >"$folder/combined_data_1.txt"; done
printf '1,2003,"The ""Silent"" Harbour",,\n2,1999,Knight, Day, and the Caf\xe9\n3,NULL,Untitled Voyage,,\n' >titles.sheet/movie_titles.csv
printf ',movie_id,year,title\n0,1,2003.0,"The ""Silent"" Harbour"\n1,2,1999.0,"Knight, Day, and the Caf\xc3\xa9"\n2,3,,Untitled Voyage\n' >titles.frame/movie_titles.csv
cp titles.frame/movie_titles.csv titles.two/movie_titles.csv
printf '1,2003,The "Silent" Harbour\n2,1999,Knight, Day, and the Caf\xe9\n3,NULL,Untitled Voyage\n' >titles.two/movie_titles.txt
{ seq -f '%g,nineteen,A Year in Words' 2 1002; printf '1,2003,The Silent Harbour\n'; } >titles.years/movie_titles.csv
printf '1,2003,The\tSilent Harbour\n2,1999,\x1b[31mRed\n' >titles.tab/movie_titles.csv

# mistakes: one line for each mistake, with good lines between them.
mkdir -p mistakes
printf '1,2003,Good\n2,2003,Bad \x81 Bytes\n1,2004,Twice\n3,20x3,Bad Year\nno line of titles\n6,2005,Empty\n' >mistakes/movie_titles.csv
{
    printf '7,5,2004-02-29\n'
    printf '1:\n7,5,2004-02-29\n8,0,2004-02-29\n9,6,2004-02-29\n10,x,2004-02-29\n'
    printf '11,5,2005-02-29\n12,5,2004-13-01\n13,5\n-1,5,2004-02-29\n\x00\x01\x02\xff\xfe\x7fELF\n'
    printf '0:\n14,5,2004-02-29\n2:\n15,3,2004-02-29\n15,4,2004-03-01\n'
    printf '3:\n'
    head -c 5000 /dev/zero | tr '\0' '1'
    printf '\n16,2,2004-02-29\n3:\n16,2,2004-02-29\n'
    printf '2: \n18,2,2004-02-29\n'
} >mistakes/combined_data_1.txt
printf '17\n1:\n7\nx\n' >mistakes/probe.txt
printf '1:\n20,2005-13-01\n21\n' >mistakes/qualifying.txt

mkdir -p empty norating packed junk unreadable
printf '1,2003,Lonely\n' >norating/movie_titles.csv
printf '1:\n7\n' >norating/probe.txt
printf 'nothing' >packed/training_set.tar
mkfifo junk/combined_data_2.txt 2>/dev/null || true
for _ in {1..40}; do for byte in {0..255}; do printf "\\x$(printf %02x "$byte")"; done; done >junk/combined_data_1.txt
printf '1:\n7,5,2004-02-29\n' >unreadable/combined_data_1.txt
chmod 000 unreadable/combined_data_1.txt
# endless: a file without a newline.
mkdir -p endless
head -c 20000000 /dev/zero >endless/combined_data_1.txt

# linked: symbolic links to a folder, and to a file, outside of it.
mkdir -p linked/file
ln -sfn ../tiny linked/folder
ln -sfn ../../combined/combined_data_1.txt linked/file/combined_data_1.txt

# cyrillic: a line that cannot be written in Latin-1.
mkdir -p cyrillic
printf '1:\n7,5,2004-02-29\n\xd0\x96\xd0\xb8\xd0\xb7\xd0\xbd\xd1\x8c\n' >cyrillic/combined_data_1.txt

# files: the ratings of tiny as people have them: partly unpacked, in various folders, under various names, packed or not.
mkdir -p files/{half,named,linked,windows,zipped,utf16,gzip,optional,down/download,several/{a,b},packed,barred/set,moved}
(
    cd files
    one=../tiny/training_set/mv_0000001.txt two=../tiny/training_set/mv_0000002.txt
    mkdir -p half/training_set
    cp "$one" half/training_set/
    tar -C ../tiny -cf half/training_set.tar training_set
    mkdir -p named/combined_data_2.txt named/combined_data_3.txt
    cp "$one" named/combined_data_1.txt
    cp "$two" named/combined_data_2.txt/combined_data_2.txt
    cp "$two" 'named/combined_data_2 (1).txt'
    ln -sf mv_0000001.txt linked/mv_0000002.txt
    cp "$one" linked/mv_0000001.txt
    tar -C linked -cf linked/training_set.tar mv_0000001.txt mv_0000002.txt
    rm linked/mv_*
    tar -C ../tiny --transform 's,/,\\,' -cf windows/training_set.tar training_set/mv_000000{1,2,3}.txt
    cp "$one" zipped/combined_data_1.txt
    printf 'PK\x03\x04and so on' >zipped/combined_data_2.txt
    iconv -f UTF-8 -t UTF-16 "$two" >utf16/combined_data_1.txt
    gzip -c "$one" >gzip/combined_data_1.txt
    cp "$two" gzip/combined_data_2.txt.gz
    cp "$one" optional/combined_data_1.txt
    printf 'PK\x03\x04and so on' >optional/movie_titles.csv
    printf '<!DOCTYPE html>\n<title>Log in</title>\n' >optional/probe.txt
    iconv -f UTF-8 -t UTF-16 ../tiny/qualifying.txt >optional/qualifying.txt
    cp -r ../tiny/* down/download/
    cp "$one" several/a/combined_data_1.txt
    cp "$two" several/b/combined_data_1.txt
    printf 'never opened' >packed/nf_prize_dataset.tar
    tar -C ../tiny -czf packed/nf_prize_dataset.tar.gz movie_titles.csv
    rm packed/nf_prize_dataset.tar
    cp -r ../more/* moved/
    cp "$one" barred/set/combined_data_1.txt
)

# halves: ratings on another scale.
mkdir -p halves
printf '1:\n7,5,2004-02-29\n8,4.5,2004-02-29\n9,0.5,2004-02-29\n' >halves/combined_data_1.txt

# layouts: one sample in each layout of the data set.
if [ ! -d layouts ]; then
    for layout in files tar combined; do
        "$sample" "layouts/$layout" --plain --ratings 20000 --layout "$layout" >/dev/null
        "$sample" "layouts/$layout.gz" --plain --ratings 20000 --layout "$layout" --gzip >/dev/null
        "$sample" "layouts/$layout.crlf" --plain --ratings 20000 --layout "$layout" --crlf --no-final-newline >/dev/null
    done
fi

# interrupted: for tests/faults. A load of it has many units.
[ -d interrupted ] || "$sample" interrupted --plain --ratings 600000 >/dev/null

# million: a generated sample, and the RMSE on its probe of the true model from which it was generated.
if [ ! -f million.rmse ]; then
    rm -rf million
    "$sample" million --plain | sed -n 's/.*RMSE of \([0-9.]*\) .*/\1/p' >million.rmse
fi

# lifelike: what prize-sample makes if it is not told anything. demo: the sample of the demo.
[ -d lifelike ] || "$sample" lifelike >/dev/null
[ -d demo ] || "$sample" demo --genres 8 >/dev/null
