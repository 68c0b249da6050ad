// Reads manifests as Go's clients do, and says what it read. Fed and compared by reading.rs beside this file.
//
// Each request is its length (four bytes, the lowest first), a media type, an end of line, and the manifest. Each answer is
// a length and a text.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

// The types of image-spec v1.1, with Docker's `features` and the `blobs` of the artifact manifest.
type platform struct {
	Architecture string   `json:"architecture"`
	OS           string   `json:"os"`
	OSVersion    string   `json:"os.version,omitempty"`
	OSFeatures   []string `json:"os.features,omitempty"`
	Variant      string   `json:"variant,omitempty"`
	Features     []string `json:"features,omitempty"`
}

type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	URLs         []string          `json:"urls,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Data         []byte            `json:"data,omitempty"`
	Platform     *platform         `json:"platform,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
}

type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType,omitempty"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        descriptor        `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Blobs         []descriptor      `json:"blobs"`
	Manifests     []descriptor      `json:"manifests"`
	Subject       *descriptor       `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// What containerd looks at before it believes a type.
type shape struct {
	MediaType string          `json:"mediaType,omitempty"`
	Config    json.RawMessage `json:"config,omitempty"`
	Layers    json.RawMessage `json:"layers,omitempty"`
	Manifests json.RawMessage `json:"manifests,omitempty"`
	FSLayers  json.RawMessage `json:"fsLayers,omitempty"`
}

const (
	ociImage    = "application/vnd.oci.image.manifest.v1+json"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	dockerImage = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList  = "application/vnd.docker.distribution.manifest.list.v2+json"
	artifact    = "application/vnd.oci.artifact.manifest.v1+json"
)

func isImage(kind string) bool { return kind == ociImage || kind == dockerImage }
func isIndex(kind string) bool { return kind == ociIndex || kind == dockerList }

func isManifest(kind string) bool {
	return isImage(kind) || isIndex(kind) || kind == artifact ||
		strings.HasPrefix(kind, "application/vnd.docker.distribution.manifest.v1+")
}

func read(kind string, document []byte) string {
	var looked shape
	var read manifest
	if err := json.Unmarshal(document, &looked); err != nil {
		return "refused: " + err.Error()
	}
	if err := json.Unmarshal(document, &read); err != nil {
		return "refused: " + err.Error()
	}
	if len(looked.FSLayers) != 0 ||
		isImage(kind) && (len(looked.Manifests) != 0 || isIndex(looked.MediaType)) ||
		isIndex(kind) && (len(looked.Config) != 0 || len(looked.Layers) != 0 || isImage(looked.MediaType)) {
		return "refused: its shape is not that of its type"
	}
	var out strings.Builder
	described := func(what string, d descriptor) {
		fmt.Fprintf(&out, "%s %x %s %d\n", what, d.MediaType, d.Digest, d.Size)
	}
	if isImage(kind) || isIndex(kind) {
		fmt.Fprintf(&out, "version %d\n", read.SchemaVersion)
	}
	hasConfig := len(looked.Config) != 0 && string(looked.Config) != "null"
	if hasConfig {
		described("names", read.Config)
	}
	for _, d := range append(read.Layers, read.Blobs...) {
		described("names", d)
	}
	for _, d := range read.Manifests {
		described("names", d)
		if p := d.Platform; isManifest(d.MediaType) && p != nil && (p.OS != "" || p.Architecture != "") {
			fmt.Fprintf(&out, "for %x %x %x\n", p.OS, p.Architecture, p.Variant)
		}
	}
	if read.Subject != nil {
		described("about", *read.Subject)
	}
	kindOf := read.ArtifactType
	if kindOf == "" && hasConfig {
		kindOf = read.Config.MediaType
	}
	fmt.Fprintf(&out, "type %x\n", kindOf)
	keys := make([]string, 0, len(read.Annotations))
	for key := range read.Annotations {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		fmt.Fprintf(&out, "annotation %x %x\n", key, read.Annotations[key])
	}
	return out.String()
}

func main() {
	in, out := bufio.NewReader(os.Stdin), bufio.NewWriter(os.Stdout)
	for {
		var size uint32
		if binary.Read(in, binary.LittleEndian, &size) != nil {
			return
		}
		request := make([]byte, size)
		if _, err := io.ReadFull(in, request); err != nil {
			return
		}
		kind, document, _ := strings.Cut(string(request), "\n")
		answer := read(kind, []byte(document))
		binary.Write(out, binary.LittleEndian, uint32(len(answer)))
		out.WriteString(answer)
		out.Flush()
	}
}
