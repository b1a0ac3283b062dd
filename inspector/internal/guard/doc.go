// Package guard keeps strangers from an inspector: requests for another host (as after a DNS
// rebinding), from pages of other origins, or without the token where one is demanded; and it
// tells browsers to run, show and send nothing but what the inspector itself serves.
//
// It starts no goroutine; its methods are safe for concurrent use.
package guard
