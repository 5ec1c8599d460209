package main

import "github.com/spf13/cobra"

func newDemo(_ *console) *cobra.Command { return &cobra.Command{Use: "demo"} }
