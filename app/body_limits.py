"""How much a request may send, and how a server asks the panel before it reads a large body.

A server that stores bodies before it calls the panel would store anything of anybody. So before it reads more than
ANYBODY bytes, it calls the panel with QUESTION in the WSGI environment, the headers, and no body. The status ACCEPTED
means that the body may come. Any other response is for the visitor, and the body stays unread.
"""

ANYBODY = 64 * 1024  # bytes
USER = 512 * 1024  # bytes, of a user who is logged in: all texts of a module
UPLOAD = 24 * 1024 * 1024  # bytes, a form with a file that may be larger, for those who may upload it

QUESTION = "bazang.may_send_body"
ACCEPTED = 204
