"""What an erasure can show for itself: a signed statement that chains to the one before, and its verification.

``facts`` are gathered by the server, ``statement`` puts them into the form of ``form`` with what they do not prove (``limits``),
``envelope`` signs and verifies, ``chain`` looks at several in a row, ``words`` says it all to a person. Facts and statements need no
cryptography, the rest does.
"""
