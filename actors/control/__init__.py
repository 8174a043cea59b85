"""The methods of the control socket, by what they are about. `actors.admin` has their table."""
