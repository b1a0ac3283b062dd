//go:build !race

package goverseclient_test

const raceEnabled = false
