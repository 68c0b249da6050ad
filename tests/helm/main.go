// Reads charts as `helm push` does, with the loaders of Helm 3 and Helm 4, and writes the config that each would push.
//
// Input and output are frames: four bytes of length, most significant first, and as many bytes. For each chart that comes in
// two frames go out, Helm 3's and Helm 4's: "+" and the config, or "-" and why the chart is refused.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"log"
	"os"

	loader3 "helm.sh/helm/v3/pkg/chart/loader"
	loader4 "helm.sh/helm/v4/pkg/chart/v2/loader"
)

func main() {
	log.SetOutput(io.Discard)
	in, out := bufio.NewReader(os.Stdin), bufio.NewWriter(os.Stdout)
	for {
		var size uint32
		if binary.Read(in, binary.BigEndian, &size) != nil {
			return
		}
		chart := make([]byte, size)
		if _, err := io.ReadFull(in, chart); err != nil {
			os.Exit(1)
		}
		write(out, helm3(chart))
		write(out, helm4(chart))
		if out.Flush() != nil {
			os.Exit(1)
		}
	}
}

func helm3(archive []byte) []byte {
	chart, err := loader3.LoadArchive(bytes.NewReader(archive))
	if err != nil {
		return refused(err)
	}
	return config(chart.Metadata)
}

func helm4(archive []byte) []byte {
	chart, err := loader4.LoadArchive(bytes.NewReader(archive))
	if err != nil {
		return refused(err)
	}
	return config(chart.Metadata)
}

func config(metadata any) []byte {
	config, err := json.Marshal(metadata)
	if err != nil {
		return refused(err)
	}
	return append([]byte("+"), config...)
}

func refused(err error) []byte {
	return []byte("-" + err.Error())
}

func write(out io.Writer, frame []byte) {
	if binary.Write(out, binary.BigEndian, uint32(len(frame))) != nil {
		os.Exit(1)
	}
	if _, err := out.Write(frame); err != nil {
		os.Exit(1)
	}
}
