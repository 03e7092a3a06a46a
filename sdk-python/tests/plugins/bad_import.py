import coattail
import no_such_module
