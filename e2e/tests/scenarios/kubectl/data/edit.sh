#!/bin/sh
# An editor that changes one value.
sed -i "s/  a: .*/  a: changed/" "$1"
