"""A cluster of two nodes: everything is on both."""
import test_one_node


def run(context):
    return test_one_node.run(context, nodes=2)
