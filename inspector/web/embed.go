// Package web is the inspector's page: what Vite builds from the TypeScript
// beside it. The built files are committed, so that nobody needs Node to build
// or install GoVerse; `make check-web` fails when they are not what the source
// gives.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// FS is the page's files; index.html is at its root, and all others have a hash
// of their content in their names, but for favicon.svg. All of them may be
// served with a Content-Security-Policy of `script-src 'self'; style-src 'self'`.
func FS() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) //nolint:forbidigo // "dist" is a valid path, and it is written above
	}
	return files
}
