# An authority, ca.crt, and a certificate for each of the $2 hosts hostN.example, hostN.pem, in $1.
set -eu
cd "$1"
curve="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
openssl req -x509 $curve -keyout ca.key -out ca.crt -subj "/CN=mirrord tests" -days 3000 2>/dev/null
for number in $(seq "$2"); do
	openssl req $curve -keyout key -out request -subj "/CN=host$number.example" 2>/dev/null
	echo "subjectAltName=DNS:host$number.example" >names
	openssl x509 -req -in request -CA ca.crt -CAkey ca.key -CAcreateserial -days 3000 -extfile names -out certificate 2>/dev/null
	cat key certificate >"host$number.pem"
done
rm key request names certificate
