// Follows a record with Go's own transparency log packages: note for signatures, tlog for the tree, its tiles and proofs.
// Arguments: the address of the tiles, the key, and the index of a leaf. Prints the size, and "ok".
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type served struct{ address string }

func (s served) Height() int { return 8 }

func (s served) SaveTiles([]tlog.Tile, [][]byte) {}

func (s served) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range tiles {
		// sumdb's own addresses say the height too: tile/8/0/000
		path := tile.Path()
		path = "tile/" + path[len("tile/8/"):]
		hashes, err := get(s.address + "/" + path)
		if err != nil {
			return nil, err
		}
		found = append(found, hashes)
	}
	return found, nil
}

func get(address string) ([]byte, error) {
	answer, err := http.Get(address)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != 200 {
		return nil, fmt.Errorf("%s: %s", address, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func main() {
	address := os.Args[1]
	verifier, err := note.NewVerifier(os.Args[2])
	must(err)
	index, err := strconv.ParseInt(os.Args[3], 10, 64)
	must(err)
	signed, err := get(address + "/checkpoint")
	must(err)
	opened, err := note.Open(signed, note.VerifierList(verifier))
	must(err)
	lines := bytes.Split([]byte(opened.Text), []byte("\n"))
	size, err := strconv.ParseInt(string(lines[1]), 10, 64)
	must(err)
	root, err := tlog.ParseHash(string(lines[2]))
	must(err)
	// The reader holds every tile that it reads against the root.
	reader := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, served{address})
	proof, err := tlog.ProveRecord(size, index, reader)
	must(err)
	bundle := fmt.Sprintf("%s/tile/entries/%03d", address, index/256)
	if width := size - index/256*256; width < 256 {
		bundle = fmt.Sprintf("%s.p/%d", bundle, width)
	}
	entries, err := get(bundle)
	must(err)
	at := index % 256 * 34
	if binary.BigEndian.Uint16(entries[at:]) != 32 {
		must(fmt.Errorf("the entry is not of 32 bytes"))
	}
	must(tlog.CheckRecord(proof, size, root, index, tlog.RecordHash(entries[at+2:at+34])))
	older := size/2 + 1
	olderRoot, err := tlog.TreeHash(older, reader)
	must(err)
	tree, err := tlog.ProveTree(size, older, reader)
	must(err)
	must(tlog.CheckTree(tree, size, root, older, olderRoot))
	fmt.Println(size, "ok")
}
