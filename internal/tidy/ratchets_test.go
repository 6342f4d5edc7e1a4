package tidy

// ratchets are the excesses the house has, by what the rule prints. Sizes may go down here, never up.
func ratchets() map[string]int {
	return map[string]int{}
}
